// The nodes as the scheduler sees them, kept up to date by events: what each offers, and what the
// pods on it (bound, or assumed to be) take. Nothing is summed up anew for a pod.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/scheduler/pod_info.h"
#include "server/scheduler/volume_plan.h"

namespace knarr::server {

struct NodeInfo {
  std::string name;
  bool known = false;  // false: pods name it, but there is no such node (yet)
  api::Labels labels;
  std::vector<api::Taint> taints;
  bool unschedulable = false;
  Amounts allocatable;
  int64_t max_pods = 0;
  std::map<std::string, int64_t> images;  // name -> bytes

  Amounts requested;
  Amounts floored;
  std::vector<PodInfoRef> pods;
  int with_affinity = 0;       // pods that have any pod affinity or anti-affinity
  int with_anti_affinity = 0;  // pods with required anti-affinity

  void add(const PodInfoRef& pod);
  bool remove(const std::string& uid);
  const std::string* label(const std::string& key) const {
    return key == "metadata.name" ? &name : api::find_label(labels, key);
  }
};

class NodeTable {
 public:
  // True when something the scheduler cares about changed (not just a heartbeat).
  bool set_node(const Object& object);
  void remove_node(const std::string& name);
  void add_pod(const PodInfoRef& pod, const std::string& node);
  void remove_pod(const std::string& uid);
  const std::string* node_of(const std::string& uid) const;

  NodeInfo* find(const std::string& name);
  // The known ones, in a stable order.
  const std::vector<NodeInfo*>& nodes() const { return order_; }
  TakenVolumes& taken_volumes() { return taken_volumes_; }
  int with_affinity() const { return with_affinity_; }
  int with_anti_affinity() const { return with_anti_affinity_; }

 private:
  NodeInfo& entry(const std::string& name);
  std::unordered_map<std::string, std::unique_ptr<NodeInfo>> by_name_;
  std::unordered_map<std::string, std::string> node_by_pod_;
  std::vector<NodeInfo*> order_;
  TakenVolumes taken_volumes_;
  int with_affinity_ = 0;
  int with_anti_affinity_ = 0;
};

}  // namespace knarr::server
