// DaemonSets: one pod on every node that the template may run on, made with an affinity to that
// node and placed by the scheduler; replaced node by node when the template changes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/view/placement.h"
#include "server/controllers/history.h"
#include "server/controllers/pods.h"

namespace knarr::server {

// The template's spec with the tolerations every daemon pod has.
json::Value daemon_pod_spec(const json::Value& pod_template);

// The node a daemon pod is for: spec.nodeName, or the name in its node affinity.
std::string daemon_node_of(const json::Value& pod);

struct DaemonVerdict {
  bool should_run = false;
  bool may_stay = false;  // a pod that is there already
};
DaemonVerdict daemon_verdict(const json::Value& daemon_spec, const json::Value& node);

// The pods on one node in a rolling update.
struct DaemonNode {
  std::string name;
  const api::PodView* old_pod = nullptr;
  const api::PodView* new_pod = nullptr;
  bool old_available = false;
  bool new_available = false;
};
struct DaemonUpdate {
  std::vector<const api::PodView*> remove;
  std::vector<std::string> surge;  // nodes that get a new pod beside the old one
};
DaemonUpdate plan_daemon_update(const std::vector<DaemonNode>& nodes, int64_t max_unavailable,
                                int64_t max_surge);

class DaemonSetController final : public Controller {
 public:
  explicit DaemonSetController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  bool changes_node(const Object& set, const Object& node) const;
  struct State;
  bool manage(const std::shared_ptr<State>& state, const PassRef& pass);
  void update(const std::shared_ptr<State>& state, const PassRef& pass);
  void create(const std::shared_ptr<State>& state, const PassRef& pass,
              std::vector<std::string> nodes);
  void remove(const std::shared_ptr<State>& state, const PassRef& pass, const api::PodView& pod);
  void write_status(const State& state, const PassRef& pass);
};

}  // namespace knarr::server
