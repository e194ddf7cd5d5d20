// Flows of UDP that connection tracking would keep sending to where they went before: an endpoint
// that is gone, or nowhere, though there is an endpoint now. TCP notices by itself. Pure, but for
// forget_flows.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/proxy/service_rules.h"
#include "knarr/result.h"

namespace knarr::agent {

// An address and port of a service; of a node port the address is empty.
struct UdpFrontend {
  std::string address;
  uint16_t port = 0;
  auto operator<=>(const UdpFrontend&) const = default;
};
using UdpBackends = std::map<UdpFrontend, std::set<std::string>>;  // -> endpoint addresses

// Of one IP family; without the addresses that knarr answers at itself.
UdpBackends udp_backends(const ServiceState& state, const std::set<std::string>& answered_here,
                         const ProxyNode& node = {}, bool v6 = false);

// What is not the same in both; what is gone has no endpoints.
UdpBackends changed_backends(const UdpBackends& before, const UdpBackends& after);

// Makes the kernel forget every flow to one of these that leads elsewhere. Blocking.
Result<void> forget_flows(const UdpBackends& backends, bool v6 = false);

}  // namespace knarr::agent
