// Routes of the main table, and the link by which other nodes are reached.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/network/rtnetlink.h"

namespace knarr::agent {

inline constexpr uint8_t kRouteStatic = 4;  // RTPROT_STATIC

struct Route {
  api::Cidr to;
  int link = 0;  // 0: the one that leads to the gateway
  std::optional<api::IpAddress> gateway;
  std::optional<api::IpAddress> source;
  bool onlink = false;  // the gateway is there whatever the addresses say
  uint8_t protocol = kRouteStatic;
  uint32_t metric = 0;  // the lowest is taken; in IPv6 0 is the kernel's own of 1024

  bool operator==(const Route&) const = default;
};
// Replaces one to the same, of the same metric.
Result<void> set_route(Netlink& netlink, const Route& route);
Result<void> delete_route(Netlink& netlink, const Route& route);  // good when it is gone
// Of the main table.
Result<std::vector<Route>> list_routes(Netlink& netlink, bool v6, uint8_t protocol);

// The link by which other nodes are reached: that which has this address, else that of its IP
// family's default route.
struct Underlay {
  int link = 0;
  int mtu = 1500;
  bool holds_address = false;
};
Result<Underlay> find_underlay(Netlink& netlink, const std::optional<api::IpAddress>& address);

}  // namespace knarr::agent
