#include "agent/network/vxlan.h"

#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "agent/network/link_message.h"
#include "agent/network/rtnetlink.h"
#include "base/unique_fd.h"

namespace knarr::agent {

namespace {

std::string network_order(uint16_t port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)};
}

// What a device was made with, and keeps.
bool is_as_configured(std::string_view link, const VxlanConfig& config) {
  std::string_view info = attribute(link, IFLA_LINKINFO);
  std::string_view data = attribute(info, IFLA_INFO_DATA);
  if (!attribute(info, IFLA_INFO_KIND).starts_with("vxlan")) return false;
  std::string_view local4 = attribute(data, IFLA_VXLAN_LOCAL);
  std::string_view local6 = attribute(data, IFLA_VXLAN_LOCAL6);
  std::string_view wanted = config.local ? address_bytes(*config.local) : std::string_view();
  std::string_view learning = attribute(data, IFLA_VXLAN_LEARNING);
  return attribute_u32(data, IFLA_VXLAN_ID) == config.vni &&
         attribute(data, IFLA_VXLAN_PORT) == network_order(config.port) &&
         static_cast<int>(attribute_u32(data, IFLA_VXLAN_LINK)) == config.link &&
         (local4.empty() ? local6 : local4) == wanted && learning == std::string_view("\0", 1);
}

Result<void> create_vxlan(Netlink& netlink, const VxlanConfig& config) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0, 0));
  message.put_text(IFLA_IFNAME, config.name);
  message.put(IFLA_ADDRESS, config.mac);
  message.put_u32(IFLA_MTU, static_cast<uint32_t>(config.mtu));
  size_t info = message.begin(IFLA_LINKINFO);
  message.put_text(IFLA_INFO_KIND, "vxlan");
  size_t data = message.begin(IFLA_INFO_DATA);
  message.put_u32(IFLA_VXLAN_ID, config.vni);
  message.put(IFLA_VXLAN_PORT, network_order(config.port));
  message.put_u8(IFLA_VXLAN_LEARNING, 0);
  if (config.link != 0) message.put_u32(IFLA_VXLAN_LINK, static_cast<uint32_t>(config.link));
  if (config.local) {
    message.put(config.local->v6 ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL,
                address_bytes(*config.local));
  }
  message.end(data);
  message.end(info);
  return netlink.request(std::move(message), "make VXLAN device " + config.name);
}

Result<void> adjust(Netlink& netlink, int index, const VxlanConfig& config) {
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(index, IFF_UP));
  message.put(IFLA_ADDRESS, config.mac);
  message.put_u32(IFLA_MTU, static_cast<uint32_t>(config.mtu));
  return netlink.request(std::move(message), "set up VXLAN device " + config.name);
}

// No link-local address: nothing answers to it. A kernel without IPv6 refuses to be told.
void ask_no_ipv6(Netlink& netlink, int index) {
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(index, 0));
  size_t spec = message.begin(IFLA_AF_SPEC);
  size_t inet6 = message.begin(AF_INET6);
  message.put_u8(IFLA_INET6_ADDR_GEN_MODE, kIn6AddrGenModeNone);
  message.end(inet6);
  message.end(spec);
  static_cast<void>(netlink.request(std::move(message), "link without IPv6").ok());
}

Result<void> no_checksum_offload(const std::string& name) {
  base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value off{ETHTOOL_STXCSUM, 0};
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&off);
  if (!fd.valid() || ioctl(fd.get(), SIOCETHTOOL, &request) != 0) {
    return errno_error(errno, "turn off checksum offload of " + name);
  }
  return {};
}

Result<std::string> read_link_attributes(Netlink& netlink, const std::string& name) {
  NetlinkMessage message(RTM_GETLINK, 0, link_header(0, 0));
  message.put_text(IFLA_IFNAME, name);
  TRY_ASSIGN(std::vector<std::string> answers,
             netlink.query(std::move(message), "look for link " + name));
  if (answers.empty() || answers[0].size() < sizeof(ifinfomsg)) return std::string();
  return answers[0].substr(sizeof(ifinfomsg));
}

ndmsg entry_header(EntryKind kind, int link, const api::IpAddress& address) {
  ndmsg header{};
  header.ndm_ifindex = link;
  header.ndm_state = NUD_PERMANENT;
  if (kind == EntryKind::kForwarding) {
    header.ndm_family = AF_BRIDGE;
    header.ndm_flags = NTF_SELF;
  } else {
    header.ndm_family = address.v6 ? AF_INET6 : AF_INET;
  }
  return header;
}

}  // namespace

Result<int> ensure_vxlan(Netlink& netlink, const VxlanConfig& config) {
  TRY_ASSIGN(auto present, find_link(netlink, config.name));
  if (present && present->kind != "vxlan") {
    return make_error(Code::kConflict, "link " + config.name + " is not a VXLAN device");
  }
  if (present) {
    TRY_ASSIGN(std::string attributes, read_link_attributes(netlink, config.name));
    if (!is_as_configured(attributes, config)) {
      TRY(delete_link(netlink, config.name));
      present.reset();
    }
  }
  if (!present) {
    TRY(create_vxlan(netlink, config));
    TRY_ASSIGN(present, find_link(netlink, config.name));
    if (!present) return make_error(Code::kNotFound, config.name + " vanished");
    ask_no_ipv6(netlink, present->index);
  }
  TRY(no_checksum_offload(config.name));
  TRY(adjust(netlink, present->index, config));
  return present->index;
}

Result<std::vector<LinkEntry>> list_entries(Netlink& netlink, EntryKind kind, int link) {
  // The kernel filters forwarding entries by link; neighbours we filter ourselves.
  ifinfomsg of_link{};
  of_link.ifi_family = AF_BRIDGE;
  of_link.ifi_index = link;
  NetlinkMessage message = kind == EntryKind::kForwarding
                               ? NetlinkMessage(RTM_GETNEIGH, NLM_F_DUMP, of_link)
                               : NetlinkMessage(RTM_GETNEIGH, NLM_F_DUMP, ndmsg{});
  TRY_ASSIGN(std::vector<std::string> answers,
             netlink.query(std::move(message), "list neighbours"));
  std::vector<LinkEntry> out;
  for (const std::string& answer : answers) {
    if (answer.size() < sizeof(ndmsg)) continue;
    ndmsg header;
    memcpy(&header, answer.data(), sizeof header);
    if (header.ndm_ifindex != link || (header.ndm_state & NUD_PERMANENT) == 0) continue;
    std::string_view attributes = std::string_view(answer).substr(sizeof header);
    auto address = address_of_bytes(attribute(attributes, NDA_DST));
    if (address) out.push_back({std::string(attribute(attributes, NDA_LLADDR)), *address});
  }
  return out;
}

Result<void> set_entry(Netlink& netlink, EntryKind kind, int link, const LinkEntry& entry) {
  NetlinkMessage message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
                         entry_header(kind, link, entry.address));
  message.put(NDA_LLADDR, entry.mac);
  message.put(NDA_DST, address_bytes(entry.address));
  return netlink.request(std::move(message), "set the neighbour " + entry.address.text());
}

Result<void> delete_entry(Netlink& netlink, EntryKind kind, int link, const LinkEntry& entry) {
  NetlinkMessage message(RTM_DELNEIGH, 0, entry_header(kind, link, entry.address));
  if (kind == EntryKind::kForwarding) {
    message.put(NDA_LLADDR, entry.mac);
  } else {
    message.put(NDA_DST, address_bytes(entry.address));
  }
  int refused = 0;
  auto result =
      netlink.request(std::move(message), "forget the neighbour " + entry.address.text(), &refused);
  if (refused == ENOENT) return {};
  return result;
}

}  // namespace knarr::agent
