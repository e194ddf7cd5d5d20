// Links and addresses as one call each. Index 0 is no link.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/proxy/netlink.h"
#include "api/ip.h"
#include "knarr/result.h"

namespace knarr::agent {

struct LinkInfo {
  int index = 0;
  std::string name;
  std::string kind;  // "bridge", "veth"; empty for hardware
  int master = 0;
  int mtu = 0;
  std::string mac;  // its bytes
};

unsigned link_index(const std::string& name);  // at once; 0 when there is none
Result<std::vector<LinkInfo>> list_links(Netlink& netlink);
// nullopt when there is none.
Result<std::optional<LinkInfo>> find_link(Netlink& netlink, const std::string& name);
Result<void> delete_link(Netlink& netlink, const std::string& name);  // good when it is gone
Result<void> set_link_up(Netlink& netlink, int index);

// For a link that is not up yet: it gets no IPv6 address of its own, and announces nothing.
void no_link_local(Netlink& netlink, int index);
// Its index. Up, without a link-local address; a bridge that is there is taken.
Result<int> create_bridge(Netlink& netlink, const std::string& name, const std::string& mac,
                          int mtu);
struct VethPair {
  std::string name;       // in this namespace, a port of the bridge
  std::string peer_name;  // in the other one
  std::string peer_mac;   // six bytes
  int peer_netns = -1;    // descriptor
  int master = 0;
  int mtu = 1500;
};
// This end up, the other down. `refused` as in Netlink::request.
Result<void> create_veth(Netlink& netlink, const VethPair& pair, int* refused);
Result<void> set_master(Netlink& netlink, int index, int master);
// The port of a pod: it may send a frame back to where it came from, and what pods send to all is
// for the bridge alone, not for other pods.
Result<void> set_pod_port(Netlink& netlink, int index);

struct LinkAddress {
  int link = 0;
  api::Cidr address;
};
Result<std::vector<LinkAddress>> list_addresses(Netlink& netlink);  // without link-local ones
Result<void> add_address(Netlink& netlink, int index, const api::Cidr& address);
Result<void> delete_address(Netlink& netlink, int index, const api::Cidr& address);
// Exactly these: one from an earlier configuration would still draw traffic.
Result<void> set_addresses(Netlink& netlink, int index, const std::vector<api::Cidr>& wanted);

// As the kernel has them.
std::string_view address_bytes(const api::IpAddress& address);
std::optional<api::IpAddress> address_of_bytes(std::string_view bytes);

// The hardware address that goes with a pod's address: an address that is given again has the same.
// Of IPv6 all four words count: addresses of one range, and ranges of one cluster, differ in it.
std::string mac_of(const api::IpAddress& address);

}  // namespace knarr::agent
