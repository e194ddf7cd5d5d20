// Endpoints (the old form of EndpointSlices) of Services with a selector, and slices mirrored from
// Endpoints that users keep themselves.
#pragma once

#include <string>
#include <vector>

#include "api/view/pod.h"
#include "server/controllers/controller.h"

namespace knarr::server {

// The subsets for these pods: one for each set of ports, addresses sorted, at most 1000 in all.
json::Value endpoint_subsets(const json::Value& service, const std::vector<api::PodView>& pods,
                             bool* truncated);

class EndpointsController final : public Controller {
 public:
  explicit EndpointsController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
};

class EndpointSliceMirroringController final : public Controller {
 public:
  explicit EndpointSliceMirroringController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
};

}  // namespace knarr::server
