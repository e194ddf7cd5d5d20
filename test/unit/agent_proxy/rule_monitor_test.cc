#include "agent/proxy/rule_monitor.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <catch2/catch.hpp>
#include <cstring>

using namespace knarr::agent;

namespace {

std::string message(int type, uint32_t port, std::string body, uint8_t family = NFPROTO_IPV4) {
  nfgenmsg part{family, NFNETLINK_V0, 0};
  body.insert(0, reinterpret_cast<const char*>(&part), sizeof part);
  nlmsghdr head{};
  head.nlmsg_len = static_cast<uint32_t>(sizeof head + body.size());
  head.nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
  head.nlmsg_pid = port;
  body.insert(0, reinterpret_cast<const char*>(&head), sizeof head);
  body.resize(NLMSG_ALIGN(body.size()));
  return body;
}

}  // namespace

TEST_CASE("who removed rules of ours") {
  using Ports = std::vector<uint32_t>;
  std::string ours = message(NFT_MSG_DELRULE, 7, "....KT-SERVICES.");
  CHECK(removers_of(ours, "KT") == Ports{7});
  CHECK(removers_of(ours, "K") == Ports{});
  CHECK(removers_of(message(NFT_MSG_NEWRULE, 7, "KT-X"), "KT") == Ports{});
  CHECK(removers_of(message(NFT_MSG_DELCHAIN, 8, "KUBE-X") + ours, "KT") == Ports{7});
  CHECK(removers_of(ours + message(NFT_MSG_DELCHAIN, 9, "KT-A"), "KT") == Ports{7, 9});
  CHECK(removers_of(ours.substr(0, ours.size() - 8), "KT") == Ports{});
  CHECK(removers_of("", "KT") == Ports{});
  std::string v6 = message(NFT_MSG_DELRULE, 5, "KT-X", NFPROTO_IPV6);
  CHECK(removers_of(v6 + ours, "KT") == Ports{7});
  CHECK(removers_of(v6 + ours, "KT", true) == Ports{5});
}
