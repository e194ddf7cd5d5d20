#include "agent/network/link_monitor.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstring>
#include <optional>

#include "agent/network/overlay_links.h"

namespace knarr::agent {

namespace {

// A message that only tells of attributes (a counter, an MTU) has changed no flags.
std::optional<std::string> changed_by(const nlmsghdr& head, std::string_view body) {
  if (head.nlmsg_type == RTM_DELROUTE && body.size() >= sizeof(rtmsg)) {
    rtmsg route;
    memcpy(&route, body.data(), sizeof route);
    return route.rtm_protocol == kRouteProtocol ? std::optional<std::string>("") : std::nullopt;
  }
  if (head.nlmsg_type == RTM_NEWADDR && body.size() >= sizeof(ifaddrmsg)) {
    ifaddrmsg address;
    memcpy(&address, body.data(), sizeof address);
    // One that is there already, with new lifetimes: a router says so every few seconds.
    ifa_cacheinfo times{};
    std::string_view told = attribute(body.substr(sizeof address), IFA_CACHEINFO);
    if (told.size() >= sizeof times) memcpy(&times, told.data(), sizeof times);
    bool is_new = times.tstamp == times.cstamp;
    return is_new && address.ifa_scope == RT_SCOPE_UNIVERSE ? std::optional<std::string>("")
                                                            : std::nullopt;
  }
  bool added = head.nlmsg_type == RTM_NEWLINK, removed = head.nlmsg_type == RTM_DELLINK;
  if ((!added && !removed) || body.size() < sizeof(ifinfomsg)) return std::nullopt;
  ifinfomsg info;
  memcpy(&info, body.data(), sizeof info);
  if (added && (info.ifi_change & IFF_UP) == 0) return std::nullopt;
  std::string_view name = attribute(body.substr(sizeof info), IFLA_IFNAME);
  return std::string(name.substr(0, name.find('\0')));
}

}  // namespace

std::vector<std::string> links_changed_by(std::string_view messages) {
  std::vector<std::string> names;
  for_each_message(messages, [&](const nlmsghdr& head, std::string_view body) {
    if (auto name = changed_by(head, body)) names.push_back(*std::move(name));
  });
  return names;
}

LinkMonitor::LinkMonitor(base::Loop& loop, bool v6,
                         const std::function<void(const std::string&)>& changed)
    : v6_(v6), ear_(loop, [changed](std::string_view messages) {
        if (messages.empty()) changed({});
        for (const std::string& name : links_changed_by(messages)) changed(name);
      }) {}

Result<void> LinkMonitor::start() {
  uint32_t groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_IFADDR;
  if (v6_) groups |= RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_IFADDR;
  return ear_.start(NETLINK_ROUTE, groups);
}

}  // namespace knarr::agent
