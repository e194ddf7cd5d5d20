// The cgroups above pods, as a kubelet keeps them: all pods together get what the node has;
// burstable ones the processor shares that they ask for in sum, those of best effort the least
// there is. Written when the pods change, not when nothing does. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/downward.h"
#include "agent/pod.h"
#include "knarr/runtime.h"

namespace knarr::agent {

// By name of the group: "" (all), "burstable", "besteffort".
using GroupResources = std::map<std::string, runtime::Resources>;
GroupResources group_resources(const json::Value& allocatable, const std::vector<PodRef>& pods);

class PodGroups {
 public:
  PodGroups(runtime::Runtime& runtime, const NodeFacts& node) : runtime_(runtime), node_(node) {}
  ~PodGroups();

  // Those that are admitted and not finished.
  void set_pods(const std::vector<PodRef>& pods);

 private:
  void next();

  runtime::Runtime& runtime_;
  const NodeFacts& node_;
  GroupResources wanted_, written_;
  bool busy_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
