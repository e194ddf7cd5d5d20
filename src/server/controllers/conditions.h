// Status conditions of the workload kinds, changed in a copy of the object.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json.h"

namespace knarr::server {

struct ConditionText {
  std::string_view type;
  std::string_view status;
  std::string_view reason;
  std::string_view message;
};

// Replaces or appends; nothing when status and reason are what they were (Deployment's rule, whose
// conditions also have lastUpdateTime).
void set_deployment_condition(json::Value& status, const ConditionText& text, int64_t now_us);

void remove_condition(json::Value& status, std::string_view type);

}  // namespace knarr::server
