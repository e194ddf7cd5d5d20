// ReplicaSets, and ReplicationControllers, which are the same with an older selector: as many pods
// of the template as spec.replicas says.
#pragma once

#include "server/controllers/claim.h"
#include "server/controllers/pods.h"

namespace knarr::server {

// What status says of the pods, apart from conditions.
struct ReplicaCounts {
  int64_t replicas = 0;
  int64_t fully_labeled = 0;
  int64_t ready = 0;
  int64_t available = 0;
  int64_t terminating = 0;
  int64_t next_available_us = 0;  // when the next ready pod becomes available; 0: none will
};
ReplicaCounts count_replicas(const std::vector<api::PodView>& active, int64_t terminating,
                             const api::LabelMatch& template_labels, int64_t min_ready_seconds,
                             int64_t now_us);

class ReplicaSetController final : public Controller {
 public:
  enum class Flavor { kReplicaSet, kReplicationController };
  ReplicaSetController(const ControllerContext& context, Flavor flavor);

  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct State;
  void on_pod(const ObjectRef& previous, const ObjectRef& object);
  api::LabelMatch selector_of(const json::Value& set) const;
  void create(const PassRef& pass, const std::shared_ptr<State>& state, int64_t count);
  void remove(const PassRef& pass, const std::shared_ptr<State>& state, int64_t count);
  void write_status(const PassRef& pass, const State& state, const Error* failure,
                    int64_t difference);

  Flavor flavor_;
  const ResourceName& resource_;
};

}  // namespace knarr::server
