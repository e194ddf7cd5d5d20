#include "server/scheduler/node_info.h"

#include <algorithm>

#include "api/quantity.h"
#include "api/view/meta.h"

namespace knarr::server {

namespace {

bool has_affinity(const PodInfo& pod) {
  return !pod.affinity.empty() || !pod.anti_affinity.empty() || !pod.preferred_affinity.empty() ||
         !pod.preferred_anti_affinity.empty();
}

}  // namespace

void NodeInfo::add(const PodInfoRef& pod) {
  pods.push_back(pod);
  requested.add(pod->requests);
  floored.add(pod->floored);
  with_affinity += has_affinity(*pod);
  with_anti_affinity += !pod->anti_affinity.empty();
}

bool NodeInfo::remove(const std::string& uid) {
  auto it =
      std::find_if(pods.begin(), pods.end(), [&](const PodInfoRef& p) { return p->uid() == uid; });
  if (it == pods.end()) return false;
  requested.subtract((*it)->requests);
  floored.subtract((*it)->floored);
  with_affinity -= has_affinity(**it);
  with_anti_affinity -= !(*it)->anti_affinity.empty();
  pods.erase(it);
  return true;
}

NodeInfo& NodeTable::entry(const std::string& name) {
  std::unique_ptr<NodeInfo>& slot = by_name_[name];
  if (slot == nullptr) {
    slot = std::make_unique<NodeInfo>();
    slot->name = name;
  }
  return *slot;
}

NodeInfo* NodeTable::find(const std::string& name) {
  auto it = by_name_.find(name);
  return it != by_name_.end() && it->second->known ? it->second.get() : nullptr;
}

bool NodeTable::set_node(const Object& object) {
  json::Value value = api::decode(object);
  NodeInfo& node = entry(object.name.name);
  const json::Value& spec = value["spec"];
  const json::Value& status = value["status"];
  const json::Value& offered =
      status["allocatable"].is_object() ? status["allocatable"] : status["capacity"];
  Amounts allocatable = amounts_of(offered);
  int64_t max_pods = api::quantity_or_zero(offered["pods"].as_string()).value();
  std::vector<api::Taint> taints = api::taints_of(value);
  bool unschedulable = spec["unschedulable"].as_bool();
  std::map<std::string, int64_t> images;
  for (const json::Value& image : status["images"].elements()) {
    for (const json::Value& name : image["names"].elements()) {
      images[name.text()] = image["sizeBytes"].as_int();
    }
  }
  bool same = node.known && node.labels == object.labels && node.taints == taints &&
              node.unschedulable == unschedulable && node.max_pods == max_pods &&
              node.allocatable.cpu_milli == allocatable.cpu_milli &&
              node.allocatable.memory == allocatable.memory &&
              node.allocatable.storage == allocatable.storage &&
              node.allocatable.further == allocatable.further;
  if (!node.known) order_.push_back(&node);
  node.known = true;
  node.labels = object.labels;
  node.taints = std::move(taints);
  node.unschedulable = unschedulable;
  node.allocatable = std::move(allocatable);
  node.max_pods = max_pods;
  node.images = std::move(images);
  return !same;
}

void NodeTable::remove_node(const std::string& name) {
  auto it = by_name_.find(name);
  if (it == by_name_.end()) return;
  std::erase(order_, it->second.get());
  it->second->known = false;
  if (it->second->pods.empty()) by_name_.erase(it);
}

void NodeTable::add_pod(const PodInfoRef& pod, const std::string& node) {
  remove_pod(pod->uid());
  NodeInfo& info = entry(node);
  with_affinity_ -= info.with_affinity;
  with_anti_affinity_ -= info.with_anti_affinity;
  info.add(pod);
  with_affinity_ += info.with_affinity;
  with_anti_affinity_ += info.with_anti_affinity;
  node_by_pod_[pod->uid()] = node;
}

void NodeTable::remove_pod(const std::string& uid) {
  auto it = node_by_pod_.find(uid);
  if (it == node_by_pod_.end()) return;
  NodeInfo& info = entry(it->second);
  with_affinity_ -= info.with_affinity;
  with_anti_affinity_ -= info.with_anti_affinity;
  info.remove(uid);
  with_affinity_ += info.with_affinity;
  with_anti_affinity_ += info.with_anti_affinity;
  if (!info.known && info.pods.empty()) by_name_.erase(it->second);
  node_by_pod_.erase(it);
}

const std::string* NodeTable::node_of(const std::string& uid) const {
  auto it = node_by_pod_.find(uid);
  return it == node_by_pod_.end() ? nullptr : &it->second;
}

}  // namespace knarr::server
