// The claims of a pod, and what would have to happen to them for the pod to run on a node: volumes
// to reserve, claims to have provisioned there. Reads the cache; writes nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/view/placement.h"
#include "base/json.h"
#include "knarr/object_key.h"
#include "server/cache/cache.h"
#include "server/scheduler/pod_info.h"

namespace knarr::server {

struct NodeInfo;

// Volumes promised to a claim by a choice whose writes the cache does not show yet.
using TakenVolumes = std::map<std::string, NamespacedName>;

struct VolumePlan {
  std::vector<std::pair<std::string, NamespacedName>> bind;  // volume, claim
  std::vector<NamespacedName> provision;
  bool empty() const { return bind.empty() && provision.empty(); }
};

// A claim that waits for its first consumer.
struct WaitingClaim {
  NamespacedName name;
  json::Value value;
  bool provisioned = false;  // its class has a provisioner
  json::Value topologies;    // where that may make volumes: StorageClass.allowedTopologies
};

struct PodVolumes {
  std::string refusal;  // why no node will do; empty: it depends on the node
  std::vector<api::NodeRequirement> bound;
  bool lost = false;                   // a bound claim's volume is not there
  std::vector<WaitingClaim> waiting;   // the largest first
  std::vector<json::Value> volumes;    // all there are, when something waits
  std::vector<std::string> exclusive;  // claims that one pod at a time may use
};

PodVolumes volumes_of(const PodInfo& pod, const Cache& cache);

// What remains to be done for the pod to run on this node; nullopt: it can't.
std::optional<VolumePlan> plan_volumes(const PodVolumes& volumes, const TakenVolumes& taken,
                                       const NodeInfo& node);

}  // namespace knarr::server
