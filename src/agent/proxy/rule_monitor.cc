#include "agent/proxy/rule_monitor.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace knarr::agent {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr int kQueueBytes = 1 << 20;  // a large transaction is told rule by rule

bool is_removal(uint16_t type) {
  if (type >> 8 != NFNL_SUBSYS_NFTABLES) return false;
  int message = type & 0xff;
  return message == NFT_MSG_DELRULE || message == NFT_MSG_DELCHAIN || message == NFT_MSG_DELTABLE;
}

// The body begins with an nfgenmsg, that with the family.
bool is_of_family(std::string_view body, bool v6) {
  return body.size() >= sizeof(nfgenmsg) && body[0] == (v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
}

}  // namespace

std::vector<uint32_t> removers_of(std::string_view messages, std::string_view prefix, bool v6) {
  // Names of chains, also of those jumped to, stand in a message as they are.
  std::string ours = std::string(prefix) + "-";
  std::vector<uint32_t> ports;
  while (messages.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head;
    memcpy(&head, messages.data(), sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > messages.size()) break;
    std::string_view body = messages.substr(sizeof head, head.nlmsg_len - sizeof head);
    if (is_removal(head.nlmsg_type) && is_of_family(body, v6) &&
        body.find(ours) != std::string_view::npos) {
      ports.push_back(head.nlmsg_pid);
    }
    messages.remove_prefix(std::min<size_t>(NLMSG_ALIGN(head.nlmsg_len), messages.size()));
  }
  return ports;
}

RuleMonitor::RuleMonitor(base::Loop& loop, std::string prefix, bool v6,
                         std::function<void(uint32_t)> removed)
    : loop_(loop), prefix_(std::move(prefix)), v6_(v6), removed_(std::move(removed)) {}

Result<void> RuleMonitor::start() {
  socket_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!socket_.valid()) return errno_error(errno, "open a netlink socket");
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kQueueBytes, sizeof kQueueBytes);
  // A socket without a port of its own is passed over.
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1U << (NFNLGRP_NFTABLES - 1);
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return errno_error(errno, "listen to nftables");
  }
  watch_ = std::make_unique<base::FdWatch>(loop_, socket_.get(), UV_READABLE,
                                           [this](int) { receive(); });
  return {};
}

void RuleMonitor::receive() {
  std::string buffer(kBufferBytes, '\0');
  while (true) {
    ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOBUFS) {
      removed_(0);
      continue;
    }
    if (n <= 0) return;
    for (uint32_t port : removers_of({buffer.data(), static_cast<size_t>(n)}, prefix_, v6_)) {
      removed_(port);
    }
  }
}

}  // namespace knarr::agent
