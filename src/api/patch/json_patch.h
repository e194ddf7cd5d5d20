// RFC 6902, with the quirks of the library kube-apiserver uses: replace on a missing key adds it,
// copy of a missing key gives "", test against null passes for a missing key, negative indices
// count from the end. Pure; any thread.
#pragma once

#include <string_view>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

// kBadRequest when the patch is not a list of operations; kRequestEntityTooLarge past 10,000 of
// them; kInvalid with upstream's generic words when one fails.
Result<json::Value> apply_json_patch(json::Value document, std::string_view patch);

}  // namespace knarr::api
