// PodDisruptionBudgets: how many of the pods they guard are healthy, and how many may go.
#pragma once

#include "server/controllers/controller.h"

namespace knarr::server {

class DisruptionController final : public Controller {
 public:
  explicit DisruptionController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  // The replicas that the pods' controllers are set to; -1 when a pod has none to ask.
  int64_t expected_scale(const std::vector<ObjectRef>& pods);
};

}  // namespace knarr::server
