#include "agent/proxy/udp_flows.h"

#include "agent/proxy/service_endpoints.h"
#include "api/ip_list.h"

namespace knarr::agent {

namespace {

// Behind a node's outside address packets come with the inside one.
void add_frontends(const ServiceView& service, const ServicePort& port, const ProxyNode& node,
                   const std::set<std::string>& backends, bool v6, UdpBackends& out) {
  for (const auto* list : {&service.cluster_ips, &service.external_ips, &service.ingress_ips}) {
    for (const std::string& ip : *list) {
      if (api::is_v6(ip) != v6) continue;
      out[{ip, port.port}] = backends;
      auto inside = node.inside.find(ip);
      if (list == &service.ingress_ips && inside != node.inside.end()) {
        out[{inside->second, port.port}] = backends;
      }
    }
  }
  if (port.node_port != 0) out[{"", port.node_port}] = backends;
}

}  // namespace

UdpBackends udp_backends(const ServiceState& state, const std::set<std::string>& answered_here,
                         const ProxyNode& node, bool v6) {
  UdpBackends out;
  for (const auto& [name, service] : state.services) {
    if (service.headless) continue;
    for (const ServicePort& port : service.ports) {
      if (port.protocol != Protocol::kUdp) continue;
      std::set<std::string> addresses;
      for (const Backend& b : choose_backends(state, name, port, {}, v6).cluster) {
        addresses.insert(b.address);
      }
      add_frontends(service, port, node, addresses, v6, out);
    }
  }
  std::erase_if(out, [&](const auto& e) { return answered_here.count(e.first.address) > 0; });
  return out;
}

UdpBackends changed_backends(const UdpBackends& before, const UdpBackends& after) {
  UdpBackends out;
  for (const auto& [to, was] : before) {
    if (after.count(to) == 0) out[to] = {};
  }
  for (const auto& [to, now] : after) {
    auto was = before.find(to);
    if (was == before.end() || was->second != now) out[to] = now;
  }
  return out;
}

}  // namespace knarr::agent
