// RFC 7386: members of the patch replace those of the document, null removes. Pure; any thread.
#pragma once

#include "base/json.h"

namespace knarr::api {

json::Value apply_merge_patch(json::Value document, const json::Value& patch);

}  // namespace knarr::api
