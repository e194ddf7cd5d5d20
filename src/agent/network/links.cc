#include "agent/network/links.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "agent/network/in_namespace.h"
#include "agent/network/link_entries.h"
#include "agent/network/machine_settings.h"
#include "agent/network/routes.h"
#include "agent/network/rtnetlink.h"
#include "api/ip_list.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "knarr/check.h"

namespace knarr::agent {

namespace {

constexpr int kDefaultMtu = 1500;
constexpr char kPodInterface[] = "eth0";
constexpr char kLinkPrefix[] = "knarr";

// The path names a process. If that has ended, its number may be one of the machine's own by now.
Result<void> refuse_own_namespace(int target, const std::string& path) {
  struct stat theirs;
  struct stat ours;
  if (fstat(target, &theirs) != 0 || stat("/proc/thread-self/ns/net", &ours) != 0) {
    return errno_error(errno, "stat " + path);
  }
  if (theirs.st_ino != ours.st_ino) return {};
  return make_error(Code::kConflict, path + " is the network namespace of the machine itself");
}

// The pod's end takes nothing that others on the bridge announce, and waits for nobody.
Result<void> settings_inside(bool v6) {
  for (const char* name : {"all", kPodInterface}) {
    TRY(write_setting(fmt::format("/proc/sys/net/ipv4/conf/{}/accept_redirects", name), "0"));
  }
  // Without addresses of its own IPv6 is a way to other pods that no policy knows.
  std::string disabled = fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", kPodInterface);
  if (!v6) return base::file_exists(disabled) ? write_setting(disabled, "1") : Result<void>();
  for (const char* name : {"disable_ipv6", "accept_ra", "accept_redirects", "accept_dad"}) {
    TRY(write_setting(fmt::format("/proc/sys/net/ipv6/conf/{}/{}", kPodInterface, name), "0"));
  }
  return {};
}

struct PodAddress {
  api::IpAddress address, gateway;
};

// In the pod's namespace. eth0 is there; all of this may have been done before.
Result<void> set_up_inside(const PodLink& link, const std::vector<PodAddress>& addresses,
                           int namespace_fd) {
  TRY_ASSIGN(auto inside, InNamespace::enter(namespace_fd, link.netns));
  TRY(settings_inside(addresses.back().address.v6 || addresses.front().address.v6));
  TRY_ASSIGN(Netlink netlink, Netlink::open());
  TRY_ASSIGN(auto loopback, find_link(netlink, "lo"));
  if (loopback) TRY(set_link_up(netlink, loopback->index));
  TRY_ASSIGN(auto eth, find_link(netlink, kPodInterface));
  if (!eth) return make_error(Code::kNotFound, "no eth0 in " + link.netns);
  no_link_local(netlink, eth->index);
  TRY(set_link_up(netlink, eth->index));
  const std::string bridge_mac = mac_of(addresses.front().gateway);
  for (const auto& [address, gateway] : addresses) {
    TRY(add_address(netlink, eth->index, {address, address.bits()}));
    if (address.v6) {
      TRY(set_entry(netlink, EntryKind::kNeighbour, eth->index, {bridge_mac, gateway}));
    }
    TRY(set_route(netlink, {{gateway, gateway.bits()}, eth->index, {}, {}}));
    api::Cidr everywhere;
    everywhere.address.v6 = address.v6;
    TRY(set_route(netlink, {everywhere, eth->index, gateway, {}}));
  }
  return {};
}

Result<api::Cidr> cidr(const std::string& text) {
  auto parsed = api::Cidr::parse(text);
  if (!parsed) return make_error(Code::kInvalid, fmt::format("\"{}\" is no CIDR", text));
  return *parsed;
}

Result<api::IpAddress> ip(const std::string& text) {
  auto parsed = api::IpAddress::parse(text);
  if (!parsed) return make_error(Code::kInvalid, fmt::format("\"{}\" is no address", text));
  return *parsed;
}

Result<std::vector<PodAddress>> addresses_of(const PodLink& link) {
  std::vector<PodAddress> out;
  for (size_t i = 0; i < link.addresses.size() && i < link.gateways.size(); i++) {
    TRY_ASSIGN(api::IpAddress address, ip(link.addresses[i]));
    TRY_ASSIGN(api::IpAddress gateway, ip(link.gateways[i]));
    out.push_back({address, gateway});
  }
  if (out.empty()) return make_error(Code::kInvalid, link.sandbox_id + " has no address");
  return out;
}

// The bridge has no link-local address to ask for neighbours with, and so sends no redirects.
Result<void> set_neighbours(Netlink& netlink, int bridge, const std::vector<PodAddress>& addresses,
                            const std::string& mac) {
  for (const auto& [address, gateway] : addresses) {
    if (address.v6) TRY(set_entry(netlink, EntryKind::kNeighbour, bridge, {mac, address}));
  }
  return {};
}

Result<int> choose_mtu(Netlink& netlink, const BridgeConfig& config) {
  if (config.mtu > 0) return config.mtu;
  TRY_ASSIGN(Underlay underlay,
             find_underlay(netlink, api::IpAddress::parse(api::first_of(config.node_ip))));
  return underlay.mtu - config.mtu_overhead;
}

// Of pods that are there from before.
Result<void> set_pod_ports(Netlink& netlink, int bridge) {
  TRY_ASSIGN(std::vector<LinkInfo> links, list_links(netlink));
  for (const LinkInfo& link : links) {
    if (link.master == bridge && is_pod_link(link.name)) TRY(set_pod_port(netlink, link.index));
  }
  return {};
}

bool any_v6(const std::vector<api::Cidr>& addresses) {
  for (const api::Cidr& a : addresses) {
    if (a.address.v6) return true;
  }
  return false;
}

}  // namespace

struct BridgeLinks::State {
  std::optional<Netlink> netlink;
  int bridge = 0;
  int mtu = kDefaultMtu;
  bool ready = false;
};

BridgeLinks::BridgeLinks() : state_(std::make_unique<State>()) {}
BridgeLinks::~BridgeLinks() = default;

Result<void> BridgeLinks::ensure(const BridgeConfig& config) {
  if (state_->ready) return {};
  if (!state_->netlink) {
    TRY_ASSIGN(state_->netlink, Netlink::open());
  }
  Netlink& netlink = *state_->netlink;
  std::vector<api::Cidr> addresses;
  for (const std::string& text : config.addresses) {
    TRY_ASSIGN(api::Cidr address, cidr(text));
    addresses.push_back(address);
  }
  if (addresses.empty()) return make_error(Code::kInvalid, config.name + " has no address");
  TRY_ASSIGN(state_->mtu, choose_mtu(netlink, config));
  TRY_ASSIGN(int bridge,
             create_bridge(netlink, config.name, mac_of(addresses[0].address), state_->mtu));
  state_->bridge = bridge;
  TRY(set_pod_ports(netlink, bridge));
  TRY(bridge_settings(config.name, config.state_dir, {any_v6(addresses), config.direct_routes}));
  const std::vector<api::Cidr> gateways = addresses;
  for (const std::string& text : config.host_addresses) {
    TRY_ASSIGN(api::IpAddress extra, ip(text));
    addresses.push_back({extra, extra.bits()});
  }
  TRY(set_addresses(netlink, bridge, addresses));
  for (const api::Cidr& gateway : gateways) {
    std::string range = api::of_family(config.service_cidr, gateway.address.v6);
    if (range.empty()) continue;
    TRY_ASSIGN(api::Cidr services, cidr(range));
    services.address = services.network();
    TRY(set_route(netlink, {services, bridge, {}, gateway.address}));
  }
  state_->ready = true;
  return {};
}

Result<void> BridgeLinks::restore(const BridgeConfig& config, const std::vector<PodPort>& pods) {
  state_->ready = false;
  TRY(ensure(config));
  Netlink& netlink = *state_->netlink;
  for (const PodPort& pod : pods) {
    TRY_ASSIGN(auto link, find_link(netlink, host_link_name(pod.sandbox_id)));
    if (!link) continue;
    if (link->master != state_->bridge) TRY(set_master(netlink, link->index, state_->bridge));
    TRY(set_pod_port(netlink, link->index));
    std::vector<PodAddress> addresses;
    for (const std::string& text : pod.addresses) {
      TRY_ASSIGN(api::IpAddress address, ip(text));
      addresses.push_back({address, {}});
    }
    if (addresses.empty()) continue;
    TRY(set_neighbours(netlink, state_->bridge, addresses, mac_of(addresses[0].address)));
  }
  return {};
}

Result<void> BridgeLinks::attach(const PodLink& link) {
  auto result = attach_to_bridge(link);
  if (!result.ok()) state_->ready = false;  // somebody may have taken the bridge away
  return result;
}

Result<void> BridgeLinks::attach_to_bridge(const PodLink& link) {
  if (!state_->netlink) return make_error(Code::kServiceUnavailable, "the bridge is not there");
  Netlink& netlink = *state_->netlink;
  TRY_ASSIGN(std::vector<PodAddress> addresses, addresses_of(link));
  base::UniqueFd target(open(link.netns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!target.valid()) return errno_error(errno, "open " + link.netns);
  TRY(refuse_own_namespace(target.get(), link.netns));

  VethPair pair;
  pair.name = host_link_name(link.sandbox_id);
  pair.peer_name = kPodInterface;
  pair.peer_mac = mac_of(addresses[0].address);
  pair.peer_netns = target.get();
  pair.master = state_->bridge;
  pair.mtu = state_->mtu;
  int refused = 0;
  auto made = create_veth(netlink, pair, &refused);
  if (!made.ok() && refused == EEXIST) {
    // From before: kept if it leads into this pod.
    if (set_up_inside(link, addresses, target.get()).ok()) {
      return set_neighbours(netlink, state_->bridge, addresses, pair.peer_mac);
    }
    TRY(delete_link(netlink, pair.name));
    made = create_veth(netlink, pair, &refused);
  }
  TRY(std::move(made));
  TRY_ASSIGN(auto port, find_link(netlink, pair.name));
  if (port) TRY(set_pod_port(netlink, port->index));
  auto inside = set_up_inside(link, addresses, target.get());
  if (inside.ok()) inside = set_neighbours(netlink, state_->bridge, addresses, pair.peer_mac);
  if (!inside.ok()) {
    if (auto undone = delete_link(netlink, pair.name); !undone.ok()) {
      base::log(base::Level::kWarning, "network", "{}", undone.error().message);
    }
  }
  return inside;
}

Result<void> BridgeLinks::detach(const std::string& bridge, const std::string& sandbox_id,
                                 const std::vector<std::string>& addresses) {
  if (!state_->netlink) {
    TRY_ASSIGN(state_->netlink, Netlink::open());
  }
  for (const std::string& text : addresses) {
    auto address = api::IpAddress::parse(text);
    if (!address || !address->v6) continue;
    TRY_ASSIGN(auto link, find_link(*state_->netlink, bridge));
    if (!link) break;
    TRY(delete_entry(*state_->netlink, EntryKind::kNeighbour, link->index, {"", *address}));
  }
  return delete_link(*state_->netlink, host_link_name(sandbox_id));
}

bool is_pod_link(std::string_view name) {
  return name.starts_with(kLinkPrefix) && name.size() == std::size(kLinkPrefix) - 1 + 10;
}

std::string host_link_name(const std::string& sandbox_id) {
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(sandbox_id.data()), sandbox_id.size(), hash);
  return fmt::format("{}{:02x}{:02x}{:02x}{:02x}{:02x}", kLinkPrefix, hash[0], hash[1], hash[2],
                     hash[3], hash[4]);
}

}  // namespace knarr::agent
