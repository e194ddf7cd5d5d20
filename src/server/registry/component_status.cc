#include "server/registry/component_status.h"

#include "api/object.h"

namespace knarr::server {

std::vector<ObjectRef> component_statuses() {
  using json::Value;
  const api::ResourceInfo* resource = api::find_resource("", "v1", "componentstatuses");
  std::vector<ObjectRef> out;
  for (const char* name : {"controller-manager", "etcd-0", "scheduler"}) {
    Value healthy = Value::object({{"type", "Healthy"}, {"status", "True"}, {"message", "ok"}});
    Value object = Value::object({{"kind", "ComponentStatus"},
                                  {"apiVersion", "v1"},
                                  {"metadata", Value::object({{"name", name}})},
                                  {"conditions", Value::array({std::move(healthy)})}});
    out.push_back(api::make_object(*resource, object, 0));
  }
  return out;
}

}  // namespace knarr::server
