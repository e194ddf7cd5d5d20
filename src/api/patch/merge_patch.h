// RFC 7386: members of the patch replace those of the document, null removes. Pure; any thread.
#pragma once

#include <string_view>

#include "api/codec/decode.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

// A patch from its text, checked to be an object: kBadRequest in kube-apiserver's words otherwise.
// The strict errors of the answer are its duplicate fields.
Result<Decoded> parse_merge_patch(std::string_view text);

json::Value apply_merge_patch(json::Value document, const json::Value& patch);

}  // namespace knarr::api
