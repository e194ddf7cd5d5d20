#include "server/controllers/rollout.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "api/view/meta.h"

namespace knarr::server {

RolloutSpec rollout_spec(const json::Value& deployment) {
  const json::Value& spec = deployment["spec"];
  const json::Value& strategy = spec["strategy"];
  RolloutSpec r;
  r.replicas = api::int_field(spec, "replicas", 1);
  r.recreate = strategy["type"].as_string() == "Recreate";
  r.status_replicas = deployment["status"]["replicas"].as_int();
  if (r.recreate) return r;
  const json::Value& rolling = strategy["rollingUpdate"];
  r.max_surge = api::scaled_value(rolling["maxSurge"], r.replicas, true);
  r.max_unavailable = api::scaled_value(rolling["maxUnavailable"], r.replicas, false);
  // Both 0 would never move.
  if (r.max_surge == 0 && r.max_unavailable == 0) r.max_unavailable = 1;
  r.max_unavailable = std::min(r.max_unavailable, r.replicas);
  return r;
}

int64_t new_set_size(const RolloutSpec& spec, int64_t new_size, int64_t total_size) {
  if (spec.recreate || new_size > spec.replicas) return spec.replicas;
  int64_t room = spec.replicas + spec.max_surge - total_size;
  if (room <= 0) return new_size;
  return new_size + std::min(room, spec.replicas - new_size);
}

std::vector<int64_t> old_set_sizes(const RolloutSpec& spec, const std::vector<SetSize>& old_sets,
                                   const SetSize* new_set) {
  std::vector<int64_t> sizes;
  int64_t old_total = 0, available_total = new_set != nullptr ? new_set->available : 0;
  for (const SetSize& s : old_sets) {
    sizes.push_back(s.replicas);
    old_total += s.replicas;
    // A set that was just made smaller may still tell of pods that are about to go.
    available_total += std::min(s.available, s.replicas);
  }
  if (old_total == 0) return sizes;
  int64_t new_size = new_set != nullptr ? new_set->replicas : 0;
  int64_t new_unavailable = new_set != nullptr ? new_set->replicas - new_set->available : 0;
  int64_t min_available = spec.replicas - spec.max_unavailable;
  int64_t most = old_total + new_size - min_available - new_unavailable;
  if (most <= 0) return sizes;

  int64_t removed = 0;
  for (size_t i = 0; i < old_sets.size() && removed < most; ++i) {
    int64_t broken = sizes[i] - old_sets[i].available;
    if (sizes[i] == 0 || broken <= 0) continue;
    int64_t n = std::min(most - removed, broken);
    sizes[i] -= n;
    removed += n;
  }
  int64_t spare = available_total - min_available;
  removed = 0;
  for (size_t i = 0; i < old_sets.size() && removed < spare; ++i) {
    int64_t n = std::min(sizes[i], spare - removed);
    sizes[i] -= n;
    removed += n;
  }
  return sizes;
}

namespace {

// How much a set should grow (or shrink) to keep its share of the total.
int64_t fraction(const RolloutSpec& spec, const SetSize& set) {
  if (spec.replicas == 0) return -set.replicas;
  int64_t before = set.max_before != 0 ? set.max_before : spec.status_replicas;
  if (before == 0) return 0;
  double share = static_cast<double>(set.replicas * (spec.replicas + spec.max_surge)) /
                 static_cast<double>(before);
  return static_cast<int64_t>(std::llround(share)) - set.replicas;
}

}  // namespace

std::vector<int64_t> proportional_sizes(const RolloutSpec& spec, const std::vector<SetSize>& sets) {
  std::vector<int64_t> sizes;
  int64_t total = 0;
  for (const SetSize& s : sets) {
    sizes.push_back(s.replicas);
    total += s.replicas;
  }
  int64_t allowed = spec.replicas > 0 ? spec.replicas + spec.max_surge : 0;
  int64_t to_add = allowed - total;
  if (to_add == 0 || sets.empty()) return sizes;

  // The largest first; of equal ones the newest when growing, the oldest when shrinking.
  std::vector<size_t> order(sets.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (sets[a].replicas != sets[b].replicas) return sets[a].replicas > sets[b].replicas;
    return to_add > 0 ? sets[a].created_at > sets[b].created_at
                      : sets[a].created_at < sets[b].created_at;
  });
  int64_t added = 0;
  for (size_t i : order) {
    if (sets[i].replicas == 0 || to_add == added) continue;
    int64_t share = fraction(spec, sets[i]);
    int64_t left = to_add - added;
    share = to_add > 0 ? std::min(share, left) : std::max(share, left);
    sizes[i] += share;
    added += share;
  }
  int64_t& first = sizes[order[0]];
  first = std::max<int64_t>(0, first + to_add - added);
  return sizes;
}

}  // namespace knarr::server
