// Nodes: which are alive, what their conditions mean for pods (taints); and pods on nodes that
// turned against them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/view/placement.h"
#include "server/controllers/controller.h"

namespace knarr::server {

// The taints that a node's conditions and spec.unschedulable ask for, in upstream's order.
std::vector<api::Taint> condition_taints(const json::Value& node);

// Marks a node that gives no sign of life (lease, status) for `grace_ms` Unknown, and keeps the
// taints that conditions ask for: NoSchedule at once, NoExecute a little later.
class NodeLifecycleController final : public Controller {
 public:
  NodeLifecycleController(const ControllerContext& context, int64_t grace_ms);
  std::vector<GroupResource> watches() const override { return {kNodes.key(), kLeases.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct Health {
    std::string signs;       // lease and heartbeat as last seen
    int64_t seen_at_ms = 0;  // when they last changed
    std::string ready;       // the Ready status, and since when it is seen
    int64_t ready_since_ms = 0;
    json::Value reference;
  };
  bool check_health(const PassRef& pass, const json::Value& node, Health& health);
  void mark_unknown(const PassRef& pass, const json::Value& node);
  void mark_pods(const PassRef& pass, const std::string& node);
  void sync_taints(const PassRef& pass, const json::Value& node, const Health& health);

  int64_t grace_ms_;
  std::map<std::string, Health> health_;
};

// Deletes pods that do not tolerate a NoExecute taint of their node, when their time is over.
class TaintEvictionController final : public Controller {
 public:
  explicit TaintEvictionController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override { return {kNodes.key(), kPods.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  std::map<NamespacedName, int64_t> waiting_;  // since when (us) a pod's time runs
};

// Pods whose node is gone for 40 s, deleted pods that never had one, ended pods beyond a number.
class PodGcController final : public Controller {
 public:
  explicit PodGcController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override { return {kNodes.key(), kPods.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  std::map<std::string, int64_t> missing_since_;  // by node, monotonic ms
};

}  // namespace knarr::server
