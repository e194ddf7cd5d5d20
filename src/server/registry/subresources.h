// What is read or created under an object without being stored: scales, bindings, evictions,
// tokens, and the reviews of identity and access.
#pragma once

#include "base/json.h"
#include "server/registry/registry.h"

namespace knarr::server {

// autoscaling/v1 Scale of a workload or custom resource.
json::Value scale_of(const api::ResourceInfo& resource, const json::Value& object);

// POST to a subresource or to a resource that is not stored.
void create_virtual(Registry& registry, RequestPtr request, Body body, Done done);

// Objects that are answered and never stored have owners of their fields as well.
void track_virtual_fields(const RegistryDeps& deps, const Request& request, json::Value& object);

void create_binding(Registry& registry, RequestPtr request, const json::Value& binding, Done done);
void create_eviction(Registry& registry, RequestPtr request, const json::Value& eviction,
                     Done done);
void create_token(const RegistryDeps& deps, const Request& request, json::Value body, Done done);
void create_review(const RegistryDeps& deps, const Request& request, json::Value review, Done done);

}  // namespace knarr::server
