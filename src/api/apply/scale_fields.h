// Field ownership across the scale subresource: there one field of the object, its replicas, is
// seen as a field of a Scale, and who owns the one owns the other. Pure; any thread.
#pragma once

#include <string_view>

#include "base/json.h"

namespace knarr::api {

// managedFields of the Scale: of the object's entries those that own its replicas. Entries of other
// versions than `api_version` (the object's) say nothing of them.
json::Value scale_entries(const json::Value& parent, std::string_view api_version);

// managedFields of the object after a write of its Scale: who lost the replicas there loses them
// here, who wins them gets an entry here, without a time.
json::Value parent_entries(const json::Value& parent, const json::Value& scale,
                           std::string_view api_version);

}  // namespace knarr::api
