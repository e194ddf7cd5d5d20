// StatefulSets: pods with ordinals, names and claims of their own, made and removed in order, one
// at a time (or all at once when podManagementPolicy is Parallel), updated from the last ordinal
// down to the partition.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/controllers/history.h"
#include "server/controllers/pods.h"

namespace knarr::server {

// The ordinal at the end of "<set>-<ordinal>"; -1 when the name is not of that form.
int64_t ordinal_of(const std::string& pod_name, const std::string& set_name);

// The pod of one ordinal, from the template of one revision; volumes of claim templates wired.
json::Value stateful_pod(const json::Value& set, const json::Value& pod_template,
                         const std::string& revision_name, int64_t ordinal);

// The claims that a pod of this ordinal needs, by claim template.
std::vector<json::Value> stateful_claims(const json::Value& set, int64_t ordinal);

// One step of a StatefulSet, decided from what there is.
struct StatefulPod {
  int64_t ordinal = 0;
  bool exists = false;
  bool healthy = false;    // running, ready, not going
  bool available = false;  // ... and has been so for minReadySeconds
  bool terminating = false;
  bool terminal = false;  // Failed or Succeeded: to be replaced
  bool updated = false;   // of the update revision
};
struct StatefulPlan {
  std::vector<int64_t> create;  // ordinals
  std::vector<int64_t> remove;
};
struct StatefulRules {
  bool parallel = false;
  bool on_delete = false;
  int64_t partition = 0;  // ordinals below stay as they are
};
// `wanted`: one entry for every ordinal there should be, ascending; `surplus`: pods outside, in
// order of removal (the highest ordinal first).
StatefulPlan plan_stateful(const StatefulRules& rules, const std::vector<StatefulPod>& wanted,
                           const std::vector<StatefulPod>& surplus);

class StatefulSetController final : public Controller {
 public:
  explicit StatefulSetController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct State;
  void act(const std::shared_ptr<State>& state, const PassRef& pass, const StatefulPlan& plan);
  void create_pod(const std::shared_ptr<State>& state, const PassRef& pass, int64_t ordinal);
  void keep_claims(const std::shared_ptr<State>& state, const PassRef& pass);
  void write_status(const State& state, const PassRef& pass);
};

}  // namespace knarr::server
