// The list of controllers.
#pragma once

#include <memory>
#include <string>

#include "server/controllers/controller.h"
#include "server/controllers/namespace.h"

namespace knarr::server {

struct ControllersOptions {
  std::string root_ca_pem;  // what kube-root-ca.crt publishes
  Discover discover;        // null: the built-in resources
  std::string cluster_cidr = "10.244.0.0/16";
  int64_t node_grace_ms = 50000;  // without a sign of life for this long a node is not ready
};

// All of them, not started. They outlive nothing of the context.
std::unique_ptr<ControllerHost> make_controllers(const ControllerContext& context,
                                                 ControllersOptions options);

}  // namespace knarr::server
