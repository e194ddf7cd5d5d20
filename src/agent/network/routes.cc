#include "agent/network/routes.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace knarr::agent {

namespace {

constexpr uint32_t kDefaultMetricV6 = 1024;

rtmsg route_header(const Route& route) {
  rtmsg header{};
  header.rtm_family = route.to.address.v6 ? AF_INET6 : AF_INET;
  header.rtm_dst_len = static_cast<uint8_t>(route.to.prefix);
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = route.protocol;
  header.rtm_scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  header.rtm_flags = route.onlink ? RTNH_F_ONLINK : 0;
  return header;
}

Result<std::vector<std::string>> dump_routes(Netlink& netlink, bool v6) {
  rtmsg header{};
  header.rtm_family = v6 ? AF_INET6 : AF_INET;
  return netlink.query(NetlinkMessage(RTM_GETROUTE, NLM_F_DUMP, header), "list routes");
}

Result<int> default_route_link(Netlink& netlink, bool v6) {
  TRY_ASSIGN(std::vector<std::string> answers, dump_routes(netlink, v6));
  for (const std::string& answer : answers) {
    rtmsg header;
    if (answer.size() < sizeof header) continue;
    memcpy(&header, answer.data(), sizeof header);
    if (header.rtm_dst_len != 0 || header.rtm_table != RT_TABLE_MAIN) continue;
    std::string_view attributes = std::string_view(answer).substr(sizeof header);
    if (uint32_t link = attribute_u32(attributes, RTA_OIF)) return static_cast<int>(link);
  }
  return 0;
}

}  // namespace

Result<void> set_route(Netlink& netlink, const Route& route) {
  NetlinkMessage message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route_header(route));
  if (route.to.prefix > 0) message.put(RTA_DST, address_bytes(route.to.address));
  if (route.link != 0) message.put_u32(RTA_OIF, static_cast<uint32_t>(route.link));
  if (route.gateway) message.put(RTA_GATEWAY, address_bytes(*route.gateway));
  if (route.source) message.put(RTA_PREFSRC, address_bytes(*route.source));
  if (route.metric != 0) message.put_u32(RTA_PRIORITY, route.metric);
  return netlink.request(std::move(message), "set the route to " + route.to.text());
}

Result<void> delete_route(Netlink& netlink, const Route& route) {
  NetlinkMessage message(RTM_DELROUTE, 0, route_header(route));
  if (route.to.prefix > 0) message.put(RTA_DST, address_bytes(route.to.address));
  if (route.link != 0) message.put_u32(RTA_OIF, static_cast<uint32_t>(route.link));
  if (route.metric != 0) message.put_u32(RTA_PRIORITY, route.metric);
  int refused = 0;
  auto result =
      netlink.request(std::move(message), "delete the route to " + route.to.text(), &refused);
  if (refused == ESRCH) return {};
  return result;
}

Result<std::vector<Route>> list_routes(Netlink& netlink, bool v6, uint8_t protocol) {
  TRY_ASSIGN(std::vector<std::string> answers, dump_routes(netlink, v6));
  std::vector<Route> out;
  for (const std::string& answer : answers) {
    rtmsg header;
    if (answer.size() < sizeof header) continue;
    memcpy(&header, answer.data(), sizeof header);
    if (header.rtm_table != RT_TABLE_MAIN || header.rtm_protocol != protocol) continue;
    std::string_view attributes = std::string_view(answer).substr(sizeof header);
    Route route;
    route.to.address.v6 = v6;
    if (auto to = address_of_bytes(attribute(attributes, RTA_DST))) route.to.address = *to;
    route.to.prefix = header.rtm_dst_len;
    route.link = static_cast<int>(attribute_u32(attributes, RTA_OIF));
    route.gateway = address_of_bytes(attribute(attributes, RTA_GATEWAY));
    route.onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0;
    route.protocol = protocol;
    route.metric = attribute_u32(attributes, RTA_PRIORITY);
    if (v6 && route.metric == kDefaultMetricV6) route.metric = 0;
    out.push_back(route);
  }
  return out;
}

Result<Underlay> find_underlay(Netlink& netlink, const std::optional<api::IpAddress>& address) {
  Underlay out;
  if (address && !address->is_loopback()) {
    TRY_ASSIGN(std::vector<LinkAddress> all, list_addresses(netlink));
    for (const LinkAddress& a : all) {
      if (a.address.address == *address) out.link = a.link;
    }
    out.holds_address = out.link != 0;
  }
  if (out.link == 0) {
    TRY_ASSIGN(out.link, default_route_link(netlink, address && address->v6));
  }
  TRY_ASSIGN(std::vector<LinkInfo> links, list_links(netlink));
  for (const LinkInfo& link : links) {
    // An address of the loopback's is reached by any link.
    if (link.index == out.link && link.name == "lo") return Underlay();
    if (link.index == out.link && link.mtu > 0) out.mtu = link.mtu;
  }
  return out;
}

}  // namespace knarr::agent
