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

// This node, as hints of endpoints name it.
struct Locality {
  std::string node;
  std::string zone;
};

// Sorted, each once. Ready endpoints; where there are none, those that still serve while they
// terminate.
struct Backends {
  // Where all ready ones are hinted to nodes, and one to this: those hinted to this; or else the
  // same by zones.
  std::vector<Backend> cluster;
  std::vector<Backend> local;  // on this node
};

Backends choose_backends(const ServiceState& state, const NamespacedName& service,
                         const ServicePort& port, const Locality& here, bool v6);

// Addresses of ready endpoints on the node, each once; of the IP family that has more.
size_t local_endpoint_count(const ServiceState& state, const NamespacedName& service,
                            const std::string& node);

}  // namespace knarr::agent
