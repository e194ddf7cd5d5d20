// What apply sends: the patch that makes the server's object (current) be as the file says
// (modified), taking away what the file said last time (original) and says no more. With a schema
// type it is a strategic merge patch, without one a JSON merge patch. Pure.
#pragma once

#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::kubectl {

constexpr char kLastApplied[] = "kubectl.kubernetes.io/last-applied-configuration";

// An empty object when there is nothing to change. type: null for a JSON merge patch.
json::Value three_way_patch(const api::Type* type, const json::Value& original,
                            const json::Value& modified, const json::Value& current);

// The object with kLastApplied set to what it says itself.
json::Value with_last_applied(json::Value object);

}  // namespace knarr::kubectl
