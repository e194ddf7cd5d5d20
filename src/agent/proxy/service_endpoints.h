// Which endpoints a port of a service has, and which of them are used. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/proxy/service_view.h"

namespace knarr::agent {

struct Backend {
  std::string address;
  uint16_t port = 0;
  auto operator<=>(const Backend&) const = default;
};

// Sorted, each once. Ready endpoints; where there are none, those that still serve while they
// terminate.
struct Backends {
  std::vector<Backend> cluster;
  std::vector<Backend> local;  // on this node
};

Backends choose_backends(const ServiceState& state, const NamespacedName& service,
                         const ServicePort& port, const std::string& node, bool v6);

}  // namespace knarr::agent
