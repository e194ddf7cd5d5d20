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

struct Candidate {
  const EndpointView* endpoint;
  Backend backend;
};

std::vector<Candidate> candidates(const ServiceState& state, const NamespacedName& service,
                                  const ServicePort& port, bool v6) {
  std::vector<Candidate> out;
  auto slices = state.slices.find(service);
  if (slices == state.slices.end()) return out;
  for (const auto& [name, slice] : slices->second) {
    uint16_t target = target_port(slice, port);
    if (slice.v6 != v6 || slice.fqdn || target == 0) continue;
    for (const EndpointView& endpoint : slice.endpoints) {
      // The addresses of one endpoint are the same endpoint: the first stands for all.
      if (endpoint.addresses.empty()) continue;
      out.push_back({&endpoint, {endpoint.addresses[0], target}});
    }
  }
  return out;
}

using Hints = std::vector<std::string> EndpointView::*;

bool is_hinted(const EndpointView& endpoint, Hints hints, const std::string& to) {
  const std::vector<std::string>& names = endpoint.*hints;
  return std::find(names.begin(), names.end(), to) != names.end();
}

// Hints count only where every ready endpoint has one, and one leads here.
bool hints_apply(const std::vector<Candidate>& all, Hints hints, const std::string& here) {
  bool any = false;
  for (const Candidate& c : all) {
    if (!c.endpoint->ready) continue;
    if ((c.endpoint->*hints).empty()) return false;
    any |= is_hinted(*c.endpoint, hints, here);
  }
  return any && !here.empty();
}

}  // namespace

Backends choose_backends(const ServiceState& state, const NamespacedName& service,
                         const ServicePort& port, const Locality& here, bool v6) {
  std::vector<Candidate> all = candidates(state, service, port, v6);
  bool by_node = hints_apply(all, &EndpointView::for_nodes, here.node);
  bool by_zone = !by_node && hints_apply(all, &EndpointView::for_zones, here.zone);
  Group cluster, local;
  for (const Candidate& c : all) {
    if (c.endpoint->node == here.node) local.add(*c.endpoint, c.backend);
    bool elsewhere = (by_node && !is_hinted(*c.endpoint, &EndpointView::for_nodes, here.node)) ||
                     (by_zone && !is_hinted(*c.endpoint, &EndpointView::for_zones, here.zone));
    if (!elsewhere) cluster.add(*c.endpoint, c.backend);
  }
  return {cluster.chosen(), local.chosen()};
}

size_t local_endpoint_count(const ServiceState& state, const NamespacedName& service,
                            const std::string& node) {
  std::set<std::string> addresses[2];
  auto slices = state.slices.find(service);
  if (slices == state.slices.end()) return 0;
  for (const auto& [name, slice] : slices->second) {
    for (const EndpointView& endpoint : slice.endpoints) {
      if (endpoint.node != node || !endpoint.ready || endpoint.addresses.empty()) continue;
      addresses[slice.v6 ? 1 : 0].insert(endpoint.addresses[0]);
    }
  }
  return std::max(addresses[0].size(), addresses[1].size());
}

}  // namespace knarr::agent
