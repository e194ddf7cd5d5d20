// Deployments: one ReplicaSet a template, the newest growing while the older ones shrink within
// maxSurge and maxUnavailable.
//
// A pass makes one move (claim, make the new set, scale one side, tell the status); the change it
// made brings the key back for the next.
#pragma once

#include <memory>

#include "base/format.h"
#include "server/controllers/claim.h"
#include "server/controllers/pods.h"
#include "server/controllers/rollout.h"

namespace knarr::server {

class DeploymentController final : public Controller {
 public:
  explicit DeploymentController(const ControllerContext& context);

  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct Set {
    ObjectRef object;
    json::Value value;
    SetSize size;
    int64_t revision = 0;
  };
  struct State {
    json::Value deployment;
    RolloutSpec spec;
    std::vector<Set> sets;  // all that it controls, in order of creation
    int newest = -1;        // index of the one with the template of now

    Set* new_set() { return newest < 0 ? nullptr : &sets[static_cast<size_t>(newest)]; }
    std::vector<Set*> old_sets();
    int64_t total_size() const;
  };
  using StateRef = std::shared_ptr<State>;

  bool load_sets(State& state, const PassRef& pass, const api::LabelMatch& selector);
  bool refuse_select_all(const State& state, const PassRef& pass);
  bool sync_paused_condition(const State& state, const PassRef& pass);
  bool is_scaling_event(State& state) const;

  // Each returns true when it wrote something that ends the pass.
  bool sync_new_set(const StateRef& state, const PassRef& pass, bool create);
  bool sync_annotations(State& state, const PassRef& pass, int64_t revision);
  void create_new_set(const StateRef& state, const PassRef& pass, int64_t revision);
  void on_name_taken(const StateRef& state, const PassRef& pass, const std::string& name);
  bool scale(State& state, const PassRef& pass);
  bool resize(State& state, Set& set, int64_t size, const PassRef& pass, bool annotate = true);
  void roll(const StateRef& state, const PassRef& pass);
  void recreate(const StateRef& state, const PassRef& pass);
  bool old_pods_left(State& state) const;
  void clean_up(State& state, const PassRef& pass);

  void write_rollout_status(State& state, const PassRef& pass);
  void write_plain_status(State& state, const PassRef& pass);
  json::Value status_of(State& state) const;
  void judge_progress(State& state, json::Value& status) const;
  void write_status(State& state, json::Value status, const PassRef& pass);
  void come_back_for_deadline(State& state, const PassRef& pass);
};

}  // namespace knarr::server
