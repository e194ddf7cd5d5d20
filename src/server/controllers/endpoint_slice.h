// EndpointSlices of Services with a selector: the pods behind them, in slices of at most 100, by
// address family. The wanted content is a pure function; existing slices are kept where they can
// be, so that one pod's change rewrites one slice.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/view/label_match.h"
#include "api/view/pod.h"
#include "server/controllers/controller.h"

namespace knarr::server {

// spec.selector selects this pod for a service's endpoints at all: it has an address and has not
// ended.
bool pod_has_endpoint(const api::PodView& pod);

// An Endpoint of a slice for this pod and family ("IPv4", "IPv6"); null when it has no address of
// the family. `node` null: unknown.
json::Value slice_endpoint(const json::Value& service, const api::PodView& pod,
                           std::string_view family, const json::Value* node);

// The ports of a slice for this pod: named target ports are looked up in it. Sorted text decides
// which pods share a slice.
json::Value slice_ports(const json::Value& service, const api::PodView& pod);

class EndpointSliceController final : public Controller {
 public:
  explicit EndpointSliceController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct Group;
  void sync_group(const PassRef& pass, const json::Value& service, Group& group);
};

// Services that select a pod's labels, before or after a change: what both endpoint controllers
// want to know. `visit` gets service names.
void for_services_of(const Cache& cache, const ObjectRef& previous, const ObjectRef& object,
                     const std::function<void(const NamespacedName&)>& visit);

}  // namespace knarr::server
