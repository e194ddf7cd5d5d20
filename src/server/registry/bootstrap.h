// The objects a cluster begins with: its own namespaces, the service "kubernetes" and its
// endpoints, the system priority classes. Made when missing at every start; idempotent.
#pragma once

#include <functional>
#include <string>

#include "knarr/result.h"
#include "server/registry/registry.h"

namespace knarr::server {

struct BootstrapOptions {
  std::string advertise_address;  // where the API server is reached
  int advertise_port = 6443;
};

void bootstrap(Registry& registry, BootstrapOptions options, std::function<void()> done);

}  // namespace knarr::server
