// What the API server writes into the spec of a new pod.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace knarr::server {

// matchLabelKeys become part of the selectors beside them.
void apply_match_label_keys(json::Value& pod);
// Annotations that name AppArmor profiles become fields; `warnings` say so.
void apply_app_armor(json::Value& pod, std::vector<std::string>& warnings);

}  // namespace knarr::server
