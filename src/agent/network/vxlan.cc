#include "agent/network/vxlan.h"

#include <linux/ethtool.h>
#include <linux/if_link.h>
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
  api::IpAddress any;
  any.v6 = true;  // without any address of its own a device is one of IPv4
  if (config.v6) {
    message.put(IFLA_VXLAN_LOCAL6, address_bytes(config.local.value_or(any)));
  } else if (config.local) {
    message.put(IFLA_VXLAN_LOCAL, address_bytes(*config.local));
  }
  message.end(data);
  message.end(info);
  return netlink.request(std::move(message), "make VXLAN device " + config.name);
}

// A hardware address that is set makes the kernel forget all neighbours, also when it is the same.
Result<void> adjust(Netlink& netlink, int index, std::string_view present,
                    const VxlanConfig& config) {
  NetlinkMessage message(RTM_NEWLINK, 0, link_header(index, IFF_UP));
  if (attribute(present, IFLA_ADDRESS) != config.mac) message.put(IFLA_ADDRESS, config.mac);
  message.put_u32(IFLA_MTU, static_cast<uint32_t>(config.mtu));
  return netlink.request(std::move(message), "set up VXLAN device " + config.name);
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

}  // namespace

Result<int> ensure_vxlan(Netlink& netlink, const VxlanConfig& config) {
  TRY_ASSIGN(auto present, find_link(netlink, config.name));
  if (present && present->kind != "vxlan") {
    return make_error(Code::kConflict, "link " + config.name + " is not a VXLAN device");
  }
  std::string attributes;
  if (present) {
    TRY_ASSIGN(attributes, read_link_attributes(netlink, config.name));
    if (!is_as_configured(attributes, config)) {
      TRY(delete_link(netlink, config.name));
      present.reset();
      attributes.clear();
    }
  }
  if (!present) {
    TRY(create_vxlan(netlink, config));
    TRY_ASSIGN(present, find_link(netlink, config.name));
    if (!present) return make_error(Code::kNotFound, config.name + " vanished");
    no_link_local(netlink, present->index);
  }
  TRY(no_checksum_offload(config.name));
  TRY(adjust(netlink, present->index, attributes, config));
  return present->index;
}

}  // namespace knarr::agent
