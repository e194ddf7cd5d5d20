#include "agent/network/overlay_links.h"

#include <algorithm>

#include "agent/network/machine_settings.h"
#include "agent/network/routes.h"
#include "agent/network/rtnetlink.h"
#include "agent/network/tun.h"
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

// A spare route is taken by nobody who does not name its link.
constexpr uint32_t kSpareMetric = 4096;

Route route_of(const OverlayRoute& wanted, int tunnel, int relay) {
  using Way = OverlayRoute::Way;
  Route route{wanted.to, wanted.way == Way::kRelay ? relay : tunnel, wanted.gateway, {}};
  route.onlink = wanted.gateway && tunnel != 0;
  route.protocol = kRouteProtocol;
  route.metric = wanted.way == Way::kSpare ? kSpareMetric : 0;
  return route;
}

// Of a gateway on no link of ours the kernel has found the link.
bool is_there(const std::vector<Route>& present, Route wanted) {
  return std::any_of(present.begin(), present.end(), [&](const Route& route) {
    if (wanted.link == 0) wanted.link = route.link;
    return wanted == route;
  });
}

// Node ports on 127.0.0.1 lead to pods of other nodes, too: their answers come by this device, and
// a rule keeps all else from 127.0.0.0/8. What comes by one device may be answered by the other:
// sources are checked loosely (2).
Result<void> device_settings(const std::string& device, bool v6) {
  TRY(write_setting("/proc/sys/net/ipv4/conf/" + device + "/route_localnet", "1"));
  TRY(write_setting("/proc/sys/net/ipv4/conf/" + device + "/rp_filter", "2"));
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
  TRY_ASSIGN(Devices devices, apply_tunnel(plan));
  Result<void> first = apply_relay(plan, devices);
  if (devices.tunnel != 0) {
    for (EntryKind kind : {EntryKind::kNeighbour, EntryKind::kForwarding}) {
      const auto& wanted = kind == EntryKind::kNeighbour ? plan.neighbours : plan.forwarding;
      keep_first(first, apply_entries(*netlink_, kind, devices.tunnel, wanted));
    }
  }
  keep_first(first, apply_routes(plan, devices));
  return first;
}

Result<void> OverlayLinks::remove_device(const std::string& name, const std::string& kind) {
  TRY_ASSIGN(auto present, find_link(*netlink_, name));
  if (!present || present->kind != kind) return {};
  return delete_link(*netlink_, name);
}

Result<OverlayLinks::Devices> OverlayLinks::apply_tunnel(const OverlayPlan& plan) {
  Devices devices;
  if (!plan.vtep) {
    TRY(remove_device(options_.device, "vxlan"));
    return devices;
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
  devices.mtu = config.mtu;
  TRY_ASSIGN(devices.tunnel, ensure_vxlan(*netlink_, config));
  TRY(set_up(options_.device, devices.tunnel, *plan.vtep));
  return devices;
}

Result<void> OverlayLinks::apply_relay(const OverlayPlan& plan, Devices& devices) {
  if (!plan.relay) return remove_device(options_.relay_device(), kTunKind);
  TRY_ASSIGN(devices.relay, set_up_tun(*netlink_, options_.relay_device(), devices.mtu));
  return set_up(options_.relay_device(), devices.relay, *plan.vtep);
}

Result<void> OverlayLinks::set_up(const std::string& device, int index, const Vtep& vtep) {
  std::vector<api::Cidr> addresses;
  bool v6 = false;
  for (const api::IpAddress& a : vtep.addresses) {
    addresses.push_back({a, a.bits()});
    v6 |= a.v6;
  }
  TRY(device_settings(device, v6));
  return set_addresses(*netlink_, index, addresses);
}

Result<std::vector<Route>> OverlayLinks::present_routes(const Devices& devices) {
  std::vector<Route> out;
  for (bool v6 : {false, true}) {
    std::string range = api::of_family(options_.cluster_cidr, v6);
    if (range.empty()) continue;
    auto cluster = api::Cidr::parse(range);
    TRY_ASSIGN(std::vector<Route> routes, list_routes(*netlink_, v6, kRouteProtocol));
    for (const Route& route : routes) {
      bool by_ours = route.link == devices.tunnel || route.link == devices.relay;
      if (by_ours || (cluster && cluster->contains(route.to))) out.push_back(route);
    }
  }
  return out;
}

// IPv6 wants a gateway to be by its own link, which in the range of a route by another it is not.
Result<void> OverlayLinks::clear_gateway(std::vector<Route>& present, const Route& wanted) {
  Result<void> first;
  std::erase_if(present, [&](const Route& route) {
    bool in_the_way = !route.gateway && route.link != wanted.link && route.to == wanted.to;
    if (in_the_way) keep_first(first, delete_route(*netlink_, route));
    return in_the_way;
  });
  return first;
}

// The new ones first, so that there is one all the time.
Result<void> OverlayLinks::apply_routes(const OverlayPlan& plan, const Devices& devices) {
  TRY_ASSIGN(std::vector<Route> present, present_routes(devices));
  std::vector<Route> wanted;
  Result<void> first;
  for (const OverlayRoute& route : plan.routes) {
    wanted.push_back(route_of(route, devices.tunnel, devices.relay));
    if (is_there(present, wanted.back())) continue;
    if (wanted.back().gateway) keep_first(first, clear_gateway(present, wanted.back()));
    keep_first(first, set_route(*netlink_, wanted.back()));
  }
  for (const Route& route : present) {
    bool stays = std::any_of(wanted.begin(), wanted.end(), [&](const Route& w) {
      return w.to == route.to && w.metric == route.metric;  // it was replaced when it differed
    });
    if (!stays) keep_first(first, delete_route(*netlink_, route));
  }
  return first;
}

Result<std::vector<api::Cidr>> OverlayLinks::relayed() {
  if (!netlink_) {
    TRY_ASSIGN(netlink_, Netlink::open());
  }
  TRY_ASSIGN(auto link, find_link(*netlink_, options_.relay_device()));
  std::vector<api::Cidr> out;
  if (!link) return out;
  for (bool v6 : {false, true}) {
    TRY_ASSIGN(std::vector<Route> routes, list_routes(*netlink_, v6, kRouteProtocol));
    for (const Route& route : routes) {
      if (route.link == link->index) out.push_back(route.to);
    }
  }
  return out;
}

}  // namespace knarr::agent
