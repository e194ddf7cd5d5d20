// Between the served versions of the few kinds that have several: autoscaling v1 and v2, and Events
// of the two groups. Objects are stored in one of them (storage_of). Pure.
#pragma once

#include "api/resource.h"
#include "base/json.h"

namespace knarr::server {

// The row whose version objects of this resource are stored and cached in; most often itself.
const api::ResourceInfo& storage_of(const api::ResourceInfo& resource);

// apiVersion is set; what the target version has no field for travels in annotations, as upstream.
json::Value convert(const api::ResourceInfo& from, const api::ResourceInfo& to, json::Value value);

}  // namespace knarr::server
