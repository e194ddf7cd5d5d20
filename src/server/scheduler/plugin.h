// What a scheduler plug-in is: a file that adds a row to the table in plugins.cc.
//
// For one pod a plug-in may prepare (once), filter (each node) and score (each node that is left).
// All are pure functions of the pod, the node table and what the cycle's prepare computed.
#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/cache/cache.h"
#include "server/scheduler/node_info.h"

namespace knarr::server {

enum class Fit {
  kYes,
  kNo,     // another pod's going could change it
  kNever,  // nothing that preemption does could
};

struct Verdict {
  Fit fit = Fit::kYes;
  std::vector<std::string> reasons;
  std::string plugin;

  static Verdict no(std::string reason) { return {Fit::kNo, {std::move(reason)}, {}}; }
  static Verdict never(std::string reason) { return {Fit::kNever, {std::move(reason)}, {}}; }
};

// What changed in the cluster, for waking pods that could not be placed.
enum ClusterChange : unsigned {
  kNodeChange = 1,
  kPodGone = 2,    // a placed pod ended or was deleted
  kPodPlaced = 4,  // a pod got its node, or its labels changed
  kVolumeChange = 8,
};

// One pod's scheduling cycle.
struct Cycle {
  const PodInfo& pod;
  NodeTable& table;
  const Cache& cache;
  std::map<std::string_view, std::any> prepared;  // by plug-in
  // Nodes the cycle may look at; null: all. A prepare step narrows it.
  std::unique_ptr<std::vector<NodeInfo*>> only;
  std::vector<std::string> narrowed_by;
};

// What the plug-in's prepare step left; null when it had nothing to say of the pod.
template <typename T>
const T* prepared(const Cycle& cycle, std::string_view plugin) {
  auto it = cycle.prepared.find(plugin);
  return it != cycle.prepared.end() ? std::any_cast<T>(&it->second) : nullptr;
}

struct Plugin {
  const char* name;
  unsigned wakes_on = 0;  // ClusterChanges that may make a refused pod fit
  // Refuses the pod for every node with kNo or kNever.
  Verdict (*prepare)(Cycle& cycle) = nullptr;
  Verdict (*filter)(Cycle& cycle, const NodeInfo& node) = nullptr;
  // Raw scores of the nodes, then brought to 0..100 in place. False: this pod has no opinion.
  bool (*score)(Cycle& cycle, const std::vector<NodeInfo*>& nodes,
                std::vector<int64_t>& scores) = nullptr;
  int64_t weight = 1;
};

// In the order in which they are asked.
const std::vector<Plugin>& scheduler_plugins();

// Brings scores to 0..100 by the largest; with `reverse` the largest becomes 0.
void normalize_by_max(std::vector<int64_t>& scores, bool reverse);

}  // namespace knarr::server
