#include "agent/proxy/service_endpoints.h"

#include <algorithm>
#include <set>

namespace knarr::agent {

namespace {

// Endpoints of one reach: those that are ready, and those for when none is.
struct Group {
  std::set<Backend> ready, terminating;

  void add(const EndpointView& endpoint, const Backend& backend) {
    if (endpoint.ready) ready.insert(backend);
    if (endpoint.serving && endpoint.terminating) terminating.insert(backend);
  }
  std::vector<Backend> chosen() const {
    const std::set<Backend>& from = ready.empty() ? terminating : ready;
    return {from.begin(), from.end()};
  }
};

uint16_t target_port(const SliceView& slice, const ServicePort& port) {
  for (const SlicePort& p : slice.ports) {
    if (p.name == port.name && p.protocol == port.protocol) return p.port;
  }
  return 0;
}

}  // namespace

Backends choose_backends(const ServiceState& state, const NamespacedName& service,
                         const ServicePort& port, const std::string& node, bool v6) {
  auto slices = state.slices.find(service);
  if (slices == state.slices.end()) return {};
  Group cluster, local;
  for (const auto& [name, slice] : slices->second) {
    uint16_t target = target_port(slice, port);
    if (slice.v6 != v6 || slice.fqdn || target == 0) continue;
    for (const EndpointView& endpoint : slice.endpoints) {
      // The addresses of one endpoint are the same endpoint: the first stands for all.
      if (endpoint.addresses.empty()) continue;
      Backend backend{endpoint.addresses[0], target};
      cluster.add(endpoint, backend);
      if (endpoint.node == node) local.add(endpoint, backend);
    }
  }
  return {cluster.chosen(), local.chosen()};
}

}  // namespace knarr::agent
