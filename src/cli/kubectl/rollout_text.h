// Where a rollout stands, in the words of kubectl rollout status. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct RolloutState {
  std::string text;  // with its newline
  bool done = false;
};

// Of a Deployment, DaemonSet or StatefulSet. revision > 0: of that one. Errors: it failed, or its
// kind has no rollout.
Result<RolloutState> rollout_state(const json::Value& object, int64_t revision);

// A rollout's history: revision and cause of each, oldest first.
struct RolloutRevision {
  int64_t number = 0;
  std::string cause;
  json::Value pod_template;
};
std::string history_text(const std::vector<RolloutRevision>& revisions);

}  // namespace knarr::kubectl
