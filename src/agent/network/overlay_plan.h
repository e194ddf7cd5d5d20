// What this node needs in its kernel so that its pods reach those of other nodes: routes, and with
// VXLAN a tunnel's end with its neighbours. A pure function of the cluster's nodes.
//
//   vxlan    a route to each other node's range through one device (its VTEP); the gateway is the
//            other VTEP, which has the range's network address, as a permanent neighbour whose
//            hardware address is a function of that one; the device sends what goes there to the
//            node's own address. Nothing is learnt, nothing is asked for. The range of a node whose
//            tunnel does not answer goes to the link of the server's relay (relay_port.h); its
//            route through the tunnel stays as a spare, which only questions take.
//   host-gw  a route to each other node's range by the node's address: all nodes on one link.
//   none     nothing: plug-ins of others do it (agent/cni).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
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
  std::string relay_device() const { return device + "r"; }
  uint32_t vni = 1;
  uint16_t port = 8472;  // UDP
  // Other nodes are asked whether they answer; this long is waited for the first time.
  int64_t first_wait_ms = 1000;
  int64_t ask_again_ms = 60'000;  // those that did not
};

// What matters of a Node.
struct OverlayNode {
  std::vector<api::IpAddress> addresses;  // of type InternalIP, as they stand
  std::vector<api::Cidr> ranges;          // of its pods
  bool ready = false;
  bool operator==(const OverlayNode&) const = default;
};
OverlayNode parse_overlay_node(const json::Value& node);

struct OverlayRoute {
  enum class Way { kDirect, kSpare, kRelay };
  api::Cidr to;
  std::optional<api::IpAddress> gateway;  // none: the relay's link
  Way way = Way::kDirect;
  bool operator==(const OverlayRoute&) const = default;
};

// What is to go by the server's relay.
struct RelayNeeds {
  std::set<std::string> nodes;
  bool link = false;  // also without such nodes: this one is such to another
};

struct Vtep {
  std::string mac;
  std::vector<api::IpAddress> addresses;  // the network addresses of this node's ranges
  std::optional<api::IpAddress> local;    // that the tunnel begins at: this node's own
  bool operator==(const Vtep&) const = default;
};

struct OverlayPlan {
  std::optional<Vtep> vtep;  // none: no device. There is one only where there is another node
  bool relay = false;        // whether the relay's link is there; it has the vtep's addresses
  std::vector<OverlayRoute> routes;
  std::vector<LinkEntry> neighbours;
  std::vector<LinkEntry> forwarding;
  bool operator==(const OverlayPlan&) const = default;
};

// nullopt while this node, its range or its address is not known. Nodes without a range or an
// address, with the address of this node, or with the range of another are left out.
std::optional<OverlayPlan> plan_overlay(const OverlayOptions& options,
                                        const std::map<std::string, OverlayNode>& nodes,
                                        const RelayNeeds& relay = {});

}  // namespace knarr::agent
