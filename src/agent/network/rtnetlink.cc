#include "agent/network/rtnetlink.h"

#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/network/link_message.h"

namespace knarr::agent {

namespace {

std::string text_of(std::string_view zero_ended) {
  return std::string(zero_ended.substr(0, zero_ended.find('\0')));
}

LinkInfo read_link(std::string_view message) {
  LinkInfo link;
  if (message.size() < sizeof(ifinfomsg)) return link;
  ifinfomsg header;
  memcpy(&header, message.data(), sizeof header);
  std::string_view attributes = message.substr(sizeof header);
  link.index = header.ifi_index;
  link.name = text_of(attribute(attributes, IFLA_IFNAME));
  link.kind = text_of(attribute(attribute(attributes, IFLA_LINKINFO), IFLA_INFO_KIND));
  link.master = static_cast<int>(attribute_u32(attributes, IFLA_MASTER));
  link.mtu = static_cast<int>(attribute_u32(attributes, IFLA_MTU));
  link.mac = attribute(attributes, IFLA_ADDRESS);
  return link;
}

NetlinkMessage address_message(uint16_t type, uint16_t flags, int index, const api::Cidr& address) {
  ifaddrmsg header{};
  header.ifa_family = address.address.v6 ? AF_INET6 : AF_INET;
  header.ifa_prefixlen = static_cast<uint8_t>(address.prefix);
  header.ifa_index = static_cast<uint32_t>(index);
  // We know that nobody else has it: it is of use at once.
  if (address.address.v6) header.ifa_flags = IFA_F_NODAD;
  NetlinkMessage message(type, flags, header);
  message.put(IFA_LOCAL, address_bytes(address.address));
  message.put(IFA_ADDRESS, address_bytes(address.address));
  return message;
}

}  // namespace

unsigned link_index(const std::string& name) { return if_nametoindex(name.c_str()); }

Result<std::vector<LinkInfo>> list_links(Netlink& netlink) {
  NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP, link_header(0, 0));
  TRY_ASSIGN(std::vector<std::string> answers, netlink.query(std::move(message), "list links"));
  std::vector<LinkInfo> out;
  for (const std::string& answer : answers) out.push_back(read_link(answer));
  return out;
}

Result<std::optional<LinkInfo>> find_link(Netlink& netlink, const std::string& name) {
  NetlinkMessage message(RTM_GETLINK, 0, link_header(0, 0));
  message.put_text(IFLA_IFNAME, name);
  auto answers = netlink.query(std::move(message), "look for link " + name);
  if (!answers.ok() || answers->empty()) {
    if (!answers.ok() && link_index(name) != 0) return answers.error();
    return std::optional<LinkInfo>();
  }
  return std::optional<LinkInfo>(read_link(answers->front()));
}

Result<void> delete_link(Netlink& netlink, const std::string& name) {
  NetlinkMessage message(RTM_DELLINK, 0, link_header(0, 0));
  message.put_text(IFLA_IFNAME, name);
  int refused = 0;
  auto result = netlink.request(std::move(message), "delete link " + name, &refused);
  if (refused == ENODEV) return {};
  return result;
}

Result<void> set_link_up(Netlink& netlink, int index) {
  return netlink.request(NetlinkMessage(RTM_NEWLINK, 0, link_header(index, IFF_UP)),
                         "bring up link " + std::to_string(index));
}

// A kernel without IPv6 refuses to be told.
void no_link_local(Netlink& netlink, int index) {
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(index, 0));
  size_t spec = message.begin(IFLA_AF_SPEC);
  size_t inet6 = message.begin(AF_INET6);
  message.put_u8(IFLA_INET6_ADDR_GEN_MODE, kIn6AddrGenModeNone);
  message.end(inet6);
  message.end(spec);
  static_cast<void>(netlink.request(std::move(message), "link without IPv6").ok());
}

// A bridge with a hardware address of its own does not take those of its ports as they come and go.
Result<int> create_bridge(Netlink& netlink, const std::string& name, const std::string& mac,
                          int mtu) {
  TRY_ASSIGN(auto bridge, find_link(netlink, name));
  if (bridge && bridge->kind != "bridge") {
    return make_error(Code::kConflict, "link " + name + " is not a bridge");
  }
  NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE, link_header(0, 0));
  message.put_text(IFLA_IFNAME, name);
  // One that is set again, though to the same, makes the kernel forget all neighbours.
  if (!bridge || bridge->mac != mac) message.put(IFLA_ADDRESS, mac);
  message.put_u32(IFLA_MTU, static_cast<uint32_t>(mtu));
  size_t info = message.begin(IFLA_LINKINFO);
  message.put_text(IFLA_INFO_KIND, "bridge");
  message.end(info);
  TRY(netlink.request(std::move(message), "make bridge " + name));
  TRY_ASSIGN(bridge, find_link(netlink, name));
  if (!bridge) return make_error(Code::kNotFound, "bridge " + name + " is gone");
  no_link_local(netlink, bridge->index);
  TRY(set_link_up(netlink, bridge->index));
  return bridge->index;
}

Result<void> create_veth(Netlink& netlink, const VethPair& pair, int* refused) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0, IFF_UP));
  message.put_text(IFLA_IFNAME, pair.name);
  message.put_u32(IFLA_MTU, static_cast<uint32_t>(pair.mtu));
  message.put_u32(IFLA_MASTER, static_cast<uint32_t>(pair.master));
  size_t info = message.begin(IFLA_LINKINFO);
  message.put_text(IFLA_INFO_KIND, "veth");
  size_t data = message.begin(IFLA_INFO_DATA);
  size_t peer = message.begin(VETH_INFO_PEER);
  message.put_header(link_header(0, 0));  // not up: it has no peer yet, and refuses
  message.put_text(IFLA_IFNAME, pair.peer_name);
  message.put(IFLA_ADDRESS, pair.peer_mac);
  message.put_u32(IFLA_MTU, static_cast<uint32_t>(pair.mtu));
  message.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(pair.peer_netns));
  message.end(peer);
  message.end(data);
  message.end(info);
  return netlink.request(std::move(message), "make veth pair " + pair.name, refused);
}

Result<void> set_master(Netlink& netlink, int index, int master) {
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(index, 0));
  message.put_u32(IFLA_MASTER, static_cast<uint32_t>(master));
  return netlink.request(std::move(message), "put link " + std::to_string(index) + " on a bridge");
}

Result<void> set_pod_port(Netlink& netlink, int index) {
  ifinfomsg header = link_header(index, 0);
  header.ifi_family = AF_BRIDGE;
  NetlinkMessage message(RTM_SETLINK, 0, header);
  size_t port = message.begin(IFLA_PROTINFO | NLA_F_NESTED);
  message.put_u8(IFLA_BRPORT_MODE, 1);
  message.put_u8(IFLA_BRPORT_MCAST_FLOOD, 0);
  message.put_u8(IFLA_BRPORT_BCAST_FLOOD, 0);
  message.end(port);
  return netlink.request(std::move(message), "set up port " + std::to_string(index));
}

Result<std::vector<LinkAddress>> list_addresses(Netlink& netlink) {
  ifaddrmsg header{};
  header.ifa_family = AF_UNSPEC;
  NetlinkMessage message(RTM_GETADDR, NLM_F_DUMP, header);
  TRY_ASSIGN(std::vector<std::string> answers, netlink.query(std::move(message), "list addresses"));
  std::vector<LinkAddress> out;
  for (const std::string& answer : answers) {
    if (answer.size() < sizeof header) continue;
    memcpy(&header, answer.data(), sizeof header);
    std::string_view attributes = std::string_view(answer).substr(sizeof header);
    std::string_view bytes = attribute(attributes, IFA_LOCAL);  // IPv6 has one with a peer only
    auto ip = address_of_bytes(bytes.empty() ? attribute(attributes, IFA_ADDRESS) : bytes);
    if (!ip || ip->is_link_local_unicast()) continue;
    out.push_back({static_cast<int>(header.ifa_index), {*ip, header.ifa_prefixlen}});
  }
  return out;
}

Result<void> add_address(Netlink& netlink, int index, const api::Cidr& address) {
  return netlink.request(address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, address),
                         "assign " + address.text());
}

Result<void> delete_address(Netlink& netlink, int index, const api::Cidr& address) {
  return netlink.request(address_message(RTM_DELADDR, 0, index, address),
                         "take away " + address.text());
}

Result<void> set_addresses(Netlink& netlink, int index, const std::vector<api::Cidr>& wanted) {
  TRY_ASSIGN(std::vector<LinkAddress> all, list_addresses(netlink));
  std::vector<api::Cidr> present;
  auto has = [](const std::vector<api::Cidr>& list, const api::Cidr& address) {
    return std::find(list.begin(), list.end(), address) != list.end();
  };
  for (const LinkAddress& a : all) {
    if (a.link != index) continue;
    present.push_back(a.address);
    if (!has(wanted, a.address)) TRY(delete_address(netlink, index, a.address));
  }
  // Those that are there are left: a change would be told to all who listen.
  for (const api::Cidr& address : wanted) {
    if (!has(present, address)) TRY(add_address(netlink, index, address));
  }
  return {};
}

std::string_view address_bytes(const api::IpAddress& address) {
  return {reinterpret_cast<const char*>(address.bytes.data()), address.v6 ? size_t{16} : size_t{4}};
}

std::optional<api::IpAddress> address_of_bytes(std::string_view bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  api::IpAddress out;
  out.v6 = bytes.size() == 16;
  memcpy(out.bytes.data(), bytes.data(), bytes.size());
  return out;
}

std::string mac_of(const api::IpAddress& address) {
  std::string mac = "\x0a\x58";
  for (size_t i = 0; i < 4; i++) {
    uint8_t byte = 0;
    for (size_t word = 0; word < (address.v6 ? 16 : 4); word += 4) byte ^= address.bytes[word + i];
    mac += static_cast<char>(byte);
  }
  return mac;
}

}  // namespace knarr::agent
