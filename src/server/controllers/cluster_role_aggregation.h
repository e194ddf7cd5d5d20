// ClusterRoles with an aggregationRule hold the rules of all roles that it selects, in the order of
// their names.
#pragma once

#include "server/controllers/controller.h"

namespace knarr::server {

class ClusterRoleAggregation final : public Controller {
 public:
  explicit ClusterRoleAggregation(const ControllerContext& context);
  std::vector<GroupResource> watches() const override { return {kClusterRoles.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
};

}  // namespace knarr::server
