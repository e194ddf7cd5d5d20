// The roles and bindings a cluster begins with: made when missing, completed when they lack
// something, at every start. Those annotated rbac.authorization.kubernetes.io/autoupdate: "false"
// are left as they are.
#pragma once

#include <functional>

#include "server/registry/registry.h"

namespace knarr::server {

// `metrics`: also who may read metrics.k8s.io.
void ensure_bootstrap_policy(Registry& registry, bool metrics, std::function<void()> done);

}  // namespace knarr::server
