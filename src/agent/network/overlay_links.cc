#include "agent/network/overlay_links.h"

#include <algorithm>

#include "agent/network/machine_settings.h"
#include "agent/network/routes.h"
#include "agent/network/rtnetlink.h"
#include "agent/network/vxlan.h"
#include "api/ip_list.h"
#include "base/file.h"
#include "base/format.h"

namespace knarr::agent {

namespace {

void keep_first(Result<void>& first, Result<void> result) {
  if (first.ok() && !result.ok()) first = std::move(result);
}

bool same_key(EntryKind kind, const LinkEntry& a, const LinkEntry& b) {
  return kind == EntryKind::kForwarding ? a.mac == b.mac : a.address == b.address;
}

Result<void> apply_entries(Netlink& netlink, EntryKind kind, int link,
                           const std::vector<LinkEntry>& wanted) {
  TRY_ASSIGN(std::vector<LinkEntry> present, list_entries(netlink, kind, link));
  Result<void> first;
  for (const LinkEntry& entry : wanted) {
    if (std::find(present.begin(), present.end(), entry) != present.end()) continue;
    keep_first(first, set_entry(netlink, kind, link, entry));
  }
  for (const LinkEntry& entry : present) {
    bool known = std::any_of(wanted.begin(), wanted.end(),
                             [&](const LinkEntry& w) { return same_key(kind, w, entry); });
    if (!known) keep_first(first, delete_entry(netlink, kind, link, entry));
  }
  return first;
}

bool is_ours(const Route& route, int device, const std::optional<api::Cidr>& cluster) {
  return (device != 0 && route.link == device) || (cluster && cluster->contains(route.to));
}

// Node ports on 127.0.0.1 lead to pods of other nodes, too: their answers come by this device, and
// a rule keeps all else from 127.0.0.0/8.
Result<void> device_settings(const std::string& device, bool v6) {
  TRY(write_setting("/proc/sys/net/ipv4/conf/" + device + "/route_localnet", "1"));
  std::string conf = "/proc/sys/net/ipv6/conf/" + device;
  if (v6) TRY(write_setting(conf + "/disable_ipv6", "0"));
  if (!v6 && !base::file_exists(conf)) return {};
  return write_setting(conf + "/accept_ra", "0");
}

}  // namespace

Result<void> OverlayLinks::apply(const OverlayPlan& plan) {
  if (!netlink_) {
    TRY_ASSIGN(netlink_, Netlink::open());
  }
  TRY_ASSIGN(int device, apply_device(plan));
  Result<void> first;
  if (device != 0) {
    for (EntryKind kind : {EntryKind::kNeighbour, EntryKind::kForwarding}) {
      const auto& wanted = kind == EntryKind::kNeighbour ? plan.neighbours : plan.forwarding;
      keep_first(first, apply_entries(*netlink_, kind, device, wanted));
    }
  }
  keep_first(first, apply_routes(plan, device));
  return first;
}

// The device's index; 0 when there is to be none.
Result<int> OverlayLinks::apply_device(const OverlayPlan& plan) {
  if (!plan.vtep) {
    TRY_ASSIGN(auto present, find_link(*netlink_, options_.device));
    if (present && present->kind == "vxlan") {
      TRY(delete_link(*netlink_, options_.device));
    }
    return 0;
  }
  VxlanConfig config;
  config.name = options_.device;
  config.vni = options_.vni;
  config.port = options_.port;
  config.local = plan.vtep->local;
  config.mac = plan.vtep->mac;
  TRY_ASSIGN(Underlay underlay, find_underlay(*netlink_, plan.vtep->local));
  config.link = underlay.holds_address ? underlay.link : 0;
  if (config.link == 0) config.local.reset();  // the node is known by an address that it has not
  config.v6 = plan.vtep->local && plan.vtep->local->v6;
  config.mtu = underlay.mtu - overhead_of(NetworkBackend::kVxlan, config.v6);
  TRY_ASSIGN(int device, ensure_vxlan(*netlink_, config));
  std::vector<api::Cidr> addresses;
  bool inside_v6 = false;
  for (const api::IpAddress& a : plan.vtep->addresses) {
    addresses.push_back({a, a.bits()});
    inside_v6 |= a.v6;
  }
  TRY(device_settings(options_.device, inside_v6));
  TRY(set_addresses(*netlink_, device, addresses));
  return device;
}

Result<void> OverlayLinks::apply_routes(const OverlayPlan& plan, int device) {
  std::vector<OverlayRoute> present;
  Result<void> first;
  for (bool v6 : {false, true}) {
    std::string range = api::of_family(options_.cluster_cidr, v6);
    if (range.empty()) continue;
    auto cluster = api::Cidr::parse(range);
    TRY_ASSIGN(std::vector<Route> routes, list_routes(*netlink_, v6, kRouteProtocol));
    for (const Route& route : routes) {
      if (!is_ours(route, device, cluster)) continue;
      bool wanted = std::any_of(plan.routes.begin(), plan.routes.end(),
                                [&](const OverlayRoute& r) { return r.to == route.to; });
      if (!wanted) keep_first(first, delete_route(*netlink_, route));
      if (route.gateway && (device == 0 || route.link == device)) {
        present.push_back({route.to, *route.gateway});
      }
    }
  }
  for (const OverlayRoute& wanted : plan.routes) {
    if (std::find(present.begin(), present.end(), wanted) != present.end()) continue;
    Route route{wanted.to, device, wanted.gateway, {}};
    route.onlink = device != 0;
    route.protocol = kRouteProtocol;
    keep_first(first, set_route(*netlink_, route));
  }
  return first;
}

Result<void> remove_overlay(const OverlayOptions& options) {
  return OverlayLinks(options).apply({});
}

}  // namespace knarr::agent
