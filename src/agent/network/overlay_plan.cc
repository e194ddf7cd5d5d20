#include "agent/network/overlay_plan.h"

#include <algorithm>

#include "agent/network/rtnetlink.h"

namespace knarr::agent {

namespace {

constexpr int kVxlanBytes = 50;  // Ethernet, IPv4, UDP, VXLAN
constexpr int kV6Bytes = 20;     // that IPv6's header is longer

api::IpAddress vtep_address(const api::Cidr& range) { return range.network(); }
std::string vtep_mac(const OverlayNode& node) { return mac_of(vtep_address(node.ranges.front())); }

std::optional<api::IpAddress> address_of(const OverlayNode& node, bool v6) {
  for (const api::IpAddress& a : node.addresses) {
    if (a.v6 == v6) return a;
  }
  return std::nullopt;
}

class Planner {
 public:
  Planner(const OverlayOptions& options, const OverlayNode& own) : options_(options), own_(own) {}

  void add(const OverlayNode& node, bool relayed) {
    bool same = std::any_of(node.addresses.begin(), node.addresses.end(), [&](const auto& a) {
      return std::find(own_.addresses.begin(), own_.addresses.end(), a) != own_.addresses.end();
    });
    if (same || node.ranges.empty() || node.addresses.empty()) return;
    if (options_.backend == NetworkBackend::kVxlan) add_tunnel(node, relayed);
    if (options_.backend == NetworkBackend::kHostGw) add_gateways(node);
  }

  OverlayPlan plan(bool relay) {
    if (!plan_.forwarding.empty()) {
      Vtep vtep{vtep_mac(own_), {}, own_.addresses.front()};
      for (const api::Cidr& range : own_.ranges) vtep.addresses.push_back(vtep_address(range));
      plan_.vtep = std::move(vtep);
      plan_.relay = relay || relayed_;
    }
    return std::move(plan_);
  }

 private:
  // An old Node object may still hold what another has by now.
  bool taken(const api::Cidr& range) const {
    auto overlaps = [&](const api::Cidr& other) { return other.overlaps(range); };
    return std::any_of(own_.ranges.begin(), own_.ranges.end(), overlaps) ||
           std::any_of(plan_.routes.begin(), plan_.routes.end(),
                       [&](const OverlayRoute& r) { return overlaps(r.to); });
  }

  void add_tunnel(const OverlayNode& node, bool relayed) {
    if (own_.addresses.empty()) return;
    auto address = address_of(node, own_.addresses.front().v6);
    if (!address) return;
    std::string mac = vtep_mac(node);
    bool any = false;
    for (const api::Cidr& range : node.ranges) {
      if (taken(range)) continue;
      any = true;
      auto way = relayed ? OverlayRoute::Way::kSpare : OverlayRoute::Way::kDirect;
      plan_.routes.push_back({range, vtep_address(range), way});
      if (relayed) plan_.routes.push_back({range, std::nullopt, OverlayRoute::Way::kRelay});
      relayed_ |= relayed;
      plan_.neighbours.push_back({mac, vtep_address(range)});
    }
    if (any) plan_.forwarding.push_back({mac, *address});
  }

  void add_gateways(const OverlayNode& node) {
    for (const api::Cidr& range : node.ranges) {
      auto address = address_of(node, range.address.v6);
      if (address && !taken(range)) plan_.routes.push_back({range, *address, {}});
    }
  }

  const OverlayOptions& options_;
  const OverlayNode& own_;
  OverlayPlan plan_;
  bool relayed_ = false;  // some
};

}  // namespace

std::optional<NetworkBackend> parse_backend(std::string_view text) {
  if (text == "vxlan") return NetworkBackend::kVxlan;
  if (text == "host-gw") return NetworkBackend::kHostGw;
  if (text == "none") return NetworkBackend::kNone;
  return std::nullopt;
}

int overhead_of(NetworkBackend backend, bool v6_between_nodes) {
  if (backend != NetworkBackend::kVxlan) return 0;
  return kVxlanBytes + (v6_between_nodes ? kV6Bytes : 0);
}

OverlayNode parse_overlay_node(const json::Value& node) {
  OverlayNode out;
  for (const json::Value& address : node["status"]["addresses"].elements()) {
    if (address["type"].as_string() != "InternalIP") continue;
    if (auto ip = api::IpAddress::parse(address["address"].as_string()))
      out.addresses.push_back(*ip);
  }
  auto add_range = [&out](const json::Value& text) {
    auto range = api::Cidr::parse(text.as_string());
    if (range) out.ranges.push_back({range->network(), range->prefix});
  };
  for (const json::Value& text : node["spec"]["podCIDRs"].elements()) add_range(text);
  if (out.ranges.empty()) add_range(node["spec"]["podCIDR"]);
  for (const json::Value& condition : node["status"]["conditions"].elements()) {
    if (condition["type"].as_string() == "Ready") out.ready = condition["status"] == "True";
  }
  return out;
}

std::optional<OverlayPlan> plan_overlay(const OverlayOptions& options,
                                        const std::map<std::string, OverlayNode>& nodes,
                                        const RelayNeeds& relay) {
  auto own = nodes.find(options.node_name);
  if (own == nodes.end() || own->second.ranges.empty()) return std::nullopt;
  if (own->second.addresses.empty()) return std::nullopt;
  Planner planner(options, own->second);
  for (const auto& [name, node] : nodes) {
    if (name != options.node_name) planner.add(node, relay.nodes.contains(name));
  }
  return planner.plan(relay.link);
}

}  // namespace knarr::agent
