#include "agent/proxy/rule_monitor.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

namespace knarr::agent {

namespace {

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
  for_each_message(messages, [&](const nlmsghdr& head, std::string_view body) {
    if (!is_removal(head.nlmsg_type) || !is_of_family(body, v6)) return;
    if (body.find(ours) != std::string_view::npos) ports.push_back(head.nlmsg_pid);
  });
  return ports;
}

RuleMonitor::RuleMonitor(base::Loop& loop, const std::string& prefix, bool v6,
                         const std::function<void(uint32_t)>& removed)
    : ear_(loop, [prefix, v6, removed](std::string_view messages) {
        if (messages.empty()) removed(0);
        for (uint32_t port : removers_of(messages, prefix, v6)) removed(port);
      }) {}

Result<void> RuleMonitor::start() {
  return ear_.start(NETLINK_NETFILTER, 1U << (NFNLGRP_NFTABLES - 1), kQueueBytes);
}

}  // namespace knarr::agent
