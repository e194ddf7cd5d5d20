// Jobs: acts on the plan of job_core.h.
#pragma once

#include "server/controllers/claim.h"
#include "server/controllers/job_core.h"

namespace knarr::server {

class JobController final : public Controller {
 public:
  explicit JobController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct State;
  void act(const std::shared_ptr<State>& state, const PassRef& pass);
  void create(const std::shared_ptr<State>& state, const PassRef& pass);
  void remove(const std::shared_ptr<State>& state, const PassRef& pass);
  void release(const PassRef& pass, const ObjectRef& pod);
  void release_lone(const NamespacedName& name, const PassRef& pass);
  void release_orphans(const NamespacedName& key, const PassRef& pass);
};

// Deletes finished Jobs when ttlSecondsAfterFinished is over.
class TtlAfterFinishedController final : public Controller {
 public:
  explicit TtlAfterFinishedController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override { return {kJobs.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
};

}  // namespace knarr::server
