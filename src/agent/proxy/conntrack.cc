// forget_flows by ctnetlink (linux/netfilter/nfnetlink_conntrack.h): all UDP flows are listed, the
// stale ones deleted one by one, each by its tuple. A deletion without one would delete all.
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

#include "agent/proxy/netlink.h"
#include "agent/proxy/udp_flows.h"

namespace knarr::agent {

namespace {

constexpr uint16_t kConntrack = NFNL_SUBSYS_CTNETLINK << 8;

struct Tuple {
  uint8_t protocol = 0;
  std::string source, destination;
  uint16_t destination_port = 0;
};

std::string address_text(std::string_view bytes) {
  char text[INET6_ADDRSTRLEN];
  if (bytes.size() != 4 && bytes.size() != 16) return {};
  int family = bytes.size() == 4 ? AF_INET : AF_INET6;
  return inet_ntop(family, bytes.data(), text, sizeof text) == nullptr ? "" : text;
}

Tuple read_tuple(std::string_view bytes) {
  Tuple out;
  std::string_view ip = attribute(bytes, CTA_TUPLE_IP);
  std::string_view proto = attribute(bytes, CTA_TUPLE_PROTO);
  bool v6 = !attribute(ip, CTA_IP_V6_SRC).empty();
  out.source = address_text(attribute(ip, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC));
  out.destination = address_text(attribute(ip, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST));
  std::string_view number = attribute(proto, CTA_PROTO_NUM);
  std::string_view port = attribute(proto, CTA_PROTO_DST_PORT);
  if (!number.empty()) out.protocol = static_cast<uint8_t>(number[0]);
  if (port.size() == 2) {
    uint16_t network_order;
    memcpy(&network_order, port.data(), sizeof network_order);
    out.destination_port = ntohs(network_order);
  }
  return out;
}

bool is_stale(const UdpBackends& backends, const Tuple& original, const Tuple& reply) {
  for (const std::string& address : {original.destination, std::string()}) {
    auto it = backends.find({address, original.destination_port});
    if (it != backends.end()) return it->second.count(reply.source) == 0;
  }
  return false;
}

nfgenmsg header(bool v6) {
  nfgenmsg out{};
  out.nfgen_family = v6 ? AF_INET6 : AF_INET;
  out.version = NFNETLINK_V0;
  return out;
}

Result<void> forget(Netlink& netlink, std::string_view tuple, bool v6) {
  NetlinkMessage message(kConntrack | IPCTNL_MSG_CT_DELETE, 0, header(v6));
  message.put(CTA_TUPLE_ORIG | NLA_F_NESTED, tuple);
  int refused = 0;
  auto result = netlink.request(std::move(message), "forget a UDP flow", &refused);
  if (refused == ENOENT) return {};  // it ended meanwhile
  return result;
}

}  // namespace

Result<void> forget_flows(const UdpBackends& backends, bool v6) {
  if (backends.empty()) return {};
  TRY_ASSIGN(Netlink netlink, Netlink::open(NETLINK_NETFILTER));
  NetlinkMessage dump(kConntrack | IPCTNL_MSG_CT_GET, NLM_F_DUMP, header(v6));
  TRY_ASSIGN(std::vector<std::string> entries, netlink.query(std::move(dump), "list flows"));
  for (const std::string& entry : entries) {
    if (entry.size() < sizeof(nfgenmsg)) continue;
    std::string_view attributes = std::string_view(entry).substr(sizeof(nfgenmsg));
    std::string_view bytes = attribute(attributes, CTA_TUPLE_ORIG);
    Tuple original = read_tuple(bytes);
    Tuple reply = read_tuple(attribute(attributes, CTA_TUPLE_REPLY));
    if (original.protocol != IPPROTO_UDP || !is_stale(backends, original, reply)) continue;
    TRY(forget(netlink, bytes, v6));
  }
  return {};
}

}  // namespace knarr::agent
