// The arithmetic of a Deployment: given its ReplicaSets as numbers, which sizes they should have
// next. Pure; the rules are those of upstream's deployment controller.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace knarr::server {

// One ReplicaSet, as far as a rollout cares.
struct SetSize {
  int64_t replicas = 0;    // spec
  int64_t existing = 0;    // status.replicas
  int64_t available = 0;   // status.availableReplicas
  int64_t max_before = 0;  // annotation deployment.kubernetes.io/max-replicas; 0: absent
  int64_t created_at = 0;
};

struct RolloutSpec {
  int64_t replicas = 1;
  bool recreate = false;
  int64_t max_surge = 0;        // resolved against replicas
  int64_t max_unavailable = 0;  // resolved against replicas; at most replicas
  int64_t status_replicas = 0;  // of the Deployment
};

RolloutSpec rollout_spec(const json::Value& deployment);

// The size the new set should have now, the old ones being what they are. new_size 0 for a set that
// is yet to be made.
int64_t new_set_size(const RolloutSpec& spec, int64_t new_size, int64_t total_size);

// The sizes of the old sets (in order of creation) after as much scaling down as availability
// permits: broken pods first, then healthy ones. `new_set` may be null.
std::vector<int64_t> old_set_sizes(const RolloutSpec& spec, const std::vector<SetSize>& old_sets,
                                   const SetSize* new_set);

// Sizes of active sets when the Deployment is scaled in the middle of a rollout: each gets its
// share. In the order given; ties of size go by age as upstream's.
std::vector<int64_t> proportional_sizes(const RolloutSpec& spec, const std::vector<SetSize>& sets);

}  // namespace knarr::server
