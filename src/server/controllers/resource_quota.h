// Counts what the objects of a namespace take of its ResourceQuotas. Admission charges what is
// made; this controller gives back what has gone, follows changes of the quotas themselves, and
// puts right what admission charged for objects that were not stored after all.
#pragma once

#include <vector>

#include "server/controllers/controller.h"
#include "server/controllers/namespace.h"

namespace knarr::server {

class ResourceQuotaController final : public Controller {
 public:
  ResourceQuotaController(const ControllerContext& context, Discover discover);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  Discover discover_;
};

}  // namespace knarr::server
