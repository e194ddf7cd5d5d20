#include "agent/network/link_monitor.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "agent/network/overlay_links.h"

namespace knarr::agent {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;

// A message that only tells of attributes (a counter, an MTU) has changed no flags.
std::optional<std::string> changed_by(const nlmsghdr& head, std::string_view body) {
  if (head.nlmsg_type == RTM_DELROUTE && body.size() >= sizeof(rtmsg)) {
    rtmsg route;
    memcpy(&route, body.data(), sizeof route);
    return route.rtm_protocol == kRouteProtocol ? std::optional<std::string>("") : std::nullopt;
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
  while (messages.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head;
    memcpy(&head, messages.data(), sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > messages.size()) break;
    auto name = changed_by(head, messages.substr(sizeof head, head.nlmsg_len - sizeof head));
    if (name) names.push_back(*std::move(name));
    messages.remove_prefix(std::min<size_t>(NLMSG_ALIGN(head.nlmsg_len), messages.size()));
  }
  return names;
}

LinkMonitor::LinkMonitor(base::Loop& loop, bool v6, std::function<void(const std::string&)> changed)
    : loop_(loop), v6_(v6), changed_(std::move(changed)) {}

Result<void> LinkMonitor::start() {
  socket_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket_.valid()) return errno_error(errno, "open a netlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | (v6_ ? RTMGRP_IPV6_ROUTE : 0);
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return errno_error(errno, "listen to links");
  }
  watch_ = std::make_unique<base::FdWatch>(loop_, socket_.get(), UV_READABLE,
                                           [this](int) { receive(); });
  return {};
}

void LinkMonitor::receive() {
  std::string buffer(kBufferBytes, '\0');
  while (true) {
    ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOBUFS) {
      changed_({});
      continue;
    }
    if (n <= 0) return;
    for (const std::string& name : links_changed_by({buffer.data(), static_cast<size_t>(n)})) {
      changed_(name);
    }
  }
}

}  // namespace knarr::agent
