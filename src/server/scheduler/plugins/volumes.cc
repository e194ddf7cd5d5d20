// PersistentVolumeClaims: bound ones pin a pod to where their volume is; unbound ones of a class
// that waits for its first consumer need a volume that could be bound on the node, or a
// provisioner. A claim with access mode ReadWriteOncePod has one pod at a time.
#include <algorithm>

#include "server/scheduler/plugins/all.h"
#include "server/scheduler/volume_plan.h"

namespace knarr::server {

namespace {

constexpr const char* kName = "VolumeBinding";

struct Prepared {
  PodVolumes volumes;
  bool exclusive_taken = false;
};

bool in_use(const Cycle& cycle, const std::string& claim) {
  for (const NodeInfo* node : cycle.table.nodes()) {
    for (const PodInfoRef& pod : node->pods) {
      if (pod->ns() != cycle.pod.ns() || pod->uid() == cycle.pod.uid()) continue;
      bool uses = std::any_of(pod->claims.begin(), pod->claims.end(),
                              [&](const PodClaim& c) { return c.name == claim; });
      if (uses) return true;
    }
  }
  return false;
}

Verdict prepare(Cycle& cycle) {
  if (cycle.pod.claims.empty()) return {};
  Prepared p{volumes_of(cycle.pod, cycle.cache), false};
  if (!p.volumes.refusal.empty()) return Verdict::never(p.volumes.refusal);
  for (const std::string& claim : p.volumes.exclusive) p.exclusive_taken |= in_use(cycle, claim);
  cycle.prepared[kName] = std::move(p);
  return {};
}

Verdict filter(Cycle& cycle, const NodeInfo& node) {
  const auto* p = prepared<Prepared>(cycle, kName);
  if (p == nullptr) return {};
  if (p->exclusive_taken) {
    return Verdict::no(
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
        "already in-use by another pod");
  }
  if (p->volumes.lost) {
    return Verdict::never(
        "node(s) unavailable due to one or more pvc(s) bound to non-existent "
        "pv(s)");
  }
  for (const api::NodeRequirement& r : p->volumes.bound) {
    if (!r.matches(node.name, node.labels)) {
      return Verdict::never("node(s) didn't match PersistentVolume's node affinity");
    }
  }
  if (plan_volumes(p->volumes, cycle.table.taken_volumes(), node)) return {};
  return Verdict::never("node(s) didn't find available persistent volumes to bind");
}

}  // namespace

Plugin volume_plugin() {
  return {.name = kName,
          .wakes_on = kNodeChange | kVolumeChange | kPodGone,
          .prepare = prepare,
          .filter = filter};
}

}  // namespace knarr::server
