// What this node needs in its kernel so that its pods reach those of other nodes: routes, and with
// VXLAN a tunnel's end with its neighbours. A pure function of the cluster's nodes.
//
//   vxlan    a route to each other node's range through one device (its VTEP); the gateway is the
//            other VTEP, which has the range's network address, as a permanent neighbour whose
//            hardware address is a function of that one; the device sends what goes there to the
//            node's own address. Nothing is learnt, nothing is asked for.
//   host-gw  a route to each other node's range by the node's address: all nodes on one link.
//   none     nothing: plug-ins of others do it (agent/cni).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/network/link_entries.h"
#include "api/ip.h"
#include "base/json.h"

namespace knarr::agent {

enum class NetworkBackend { kNone, kVxlan, kHostGw };
std::optional<NetworkBackend> parse_backend(std::string_view text);  // "vxlan", "host-gw", "none"
// The bytes that a packet grows by on its way.
int overhead_of(NetworkBackend backend, bool v6_between_nodes);

struct OverlayOptions {
  NetworkBackend backend = NetworkBackend::kVxlan;
  std::string node_name;
  std::string cluster_cidr = "10.42.0.0/16";  // of each IP family one
  std::string device = "knarr.1";
  uint32_t vni = 1;
  uint16_t port = 8472;  // UDP
  // Other nodes are asked whether they answer; this long is waited for the first time.
  int64_t first_wait_ms = 1000;
};

// What matters of a Node.
struct OverlayNode {
  std::vector<api::IpAddress> addresses;  // of type InternalIP, as they stand
  std::vector<api::Cidr> ranges;          // of its pods
  bool operator==(const OverlayNode&) const = default;
};
OverlayNode parse_overlay_node(const json::Value& node);

struct OverlayRoute {
  api::Cidr to;
  api::IpAddress gateway;
  auto operator<=>(const OverlayRoute& other) const {
    return std::tie(to.address, to.prefix, gateway) <=>
           std::tie(other.to.address, other.to.prefix, other.gateway);
  }
  bool operator==(const OverlayRoute&) const = default;
};

struct Vtep {
  std::string mac;
  std::vector<api::IpAddress> addresses;  // the network addresses of this node's ranges
  std::optional<api::IpAddress> local;    // that the tunnel begins at: this node's own
  bool operator==(const Vtep&) const = default;
};

struct OverlayPlan {
  std::optional<Vtep> vtep;  // none: no device. There is one only where there is another node
  std::vector<OverlayRoute> routes;
  std::vector<LinkEntry> neighbours;
  std::vector<LinkEntry> forwarding;
  bool operator==(const OverlayPlan&) const = default;
};

// nullopt while this node, its range or its address is not known. Nodes without a range or an
// address, with the address of this node, or with the range of another are left out.
std::optional<OverlayPlan> plan_overlay(const OverlayOptions& options,
                                        const std::map<std::string, OverlayNode>& nodes);

}  // namespace knarr::agent
