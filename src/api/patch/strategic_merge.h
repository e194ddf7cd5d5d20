// Strategic merge patch: a merge patch that knows which lists merge, and by which key, from the
// schema. Directives: $patch (replace, merge, delete), $retainKeys, $setElementOrder/<list>,
// $deleteFromPrimitiveList/<list>. Pure; any thread.
#pragma once

#include <string_view>

#include "api/codec/decode.h"
#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

// A patch from its text, checked to be an object or null, with its duplicate fields.
Result<Decoded> parse_strategic_patch(std::string_view text);

// kUnknown (a plain 500 upstream) when a merge key is missing or $patch is unknown; kBadRequest
// for a patch of the wrong shape.
Result<json::Value> apply_strategic_merge(const Type& type, json::Value document,
                                          const json::Value& patch);

}  // namespace knarr::api
