#include "agent/network/links.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "agent/network/routes.h"
#include "agent/network/rtnetlink.h"
#include "base/ascii.h"
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

// /proc/sys/net is that of the thread's namespace. Written in place: these are no files to rename.
Result<void> write_setting(const std::string& path, std::string_view value) {
  base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), value.data(), value.size()) < 0) {
    return errno_error(errno, "write " + path);
  }
  return {};
}

// Settings of the whole machine that pods need, and the file that keeps what they were.
//
// Packets between pods leave by the bridge they came from. The redirects that this would cause
// would use up the ICMP messages that a pod may get, and a refused connection would not hear of it.
// A link sends them when either its own setting or this one says so: other links keep their own.
struct Setting {
  const char* path;
  const char* value;
  const char* file;
};
constexpr Setting kMachineSettings[] = {
    {"/proc/sys/net/ipv4/ip_forward", "1", "/ip_forward"},
    {"/proc/sys/net/ipv4/conf/all/send_redirects", "0", "/send_redirects"},
};

Result<void> change_settings(const std::string& state_dir) {
  for (const Setting& setting : kMachineSettings) {
    TRY_ASSIGN(std::string before, base::read_file(setting.path));
    if (base::trim(before) == setting.value) continue;
    if (!state_dir.empty()) {
      TRY(base::write_file(state_dir + setting.file, base::trim(before)));
    }
    TRY(write_setting(setting.path, setting.value));
  }
  return {};
}

Result<void> restore_settings(const std::string& state_dir) {
  for (const Setting& setting : kMachineSettings) {
    auto before = base::read_file(state_dir + setting.file);
    if (before.ok()) TRY(write_setting(setting.path, base::trim(*before)));
  }
  return {};
}

// The thread is in another network namespace while this lives.
class InNamespace {
 public:
  static Result<std::unique_ptr<InNamespace>> enter(int target, const std::string& path) {
    base::UniqueFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!home.valid()) return errno_error(errno, "open the own network namespace");
    if (setns(target, CLONE_NEWNET) != 0) return errno_error(errno, "enter " + path);
    return std::unique_ptr<InNamespace>(new InNamespace(std::move(home)));
  }
  // A thread that can't come home would change the pod instead of the host.
  ~InNamespace() { CHECK(setns(home_.get(), CLONE_NEWNET) == 0); }
  InNamespace(const InNamespace&) = delete;
  InNamespace& operator=(const InNamespace&) = delete;

 private:
  explicit InNamespace(base::UniqueFd home) : home_(std::move(home)) {}
  base::UniqueFd home_;
};

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

// In the pod's namespace. eth0 is there; all of this may have been done before.
Result<void> set_up_inside(const PodLink& link, const api::IpAddress& address,
                           const api::IpAddress& gateway, int namespace_fd) {
  TRY_ASSIGN(auto inside, InNamespace::enter(namespace_fd, link.netns));
  for (const char* name : {"all", kPodInterface}) {
    TRY(write_setting(fmt::format("/proc/sys/net/ipv4/conf/{}/accept_redirects", name), "0"));
  }
  TRY_ASSIGN(Netlink netlink, Netlink::open());
  TRY_ASSIGN(auto loopback, find_link(netlink, "lo"));
  if (loopback) TRY(set_link_up(netlink, loopback->index));
  TRY_ASSIGN(auto eth, find_link(netlink, kPodInterface));
  if (!eth) return make_error(Code::kNotFound, "no eth0 in " + link.netns);
  TRY(set_link_up(netlink, eth->index));
  TRY(add_address(netlink, eth->index, {address, address.bits()}));
  TRY(set_route(netlink, {{gateway, gateway.bits()}, eth->index, {}, {}}));
  api::Cidr everywhere;
  everywhere.address.v6 = address.v6;
  return set_route(netlink, {everywhere, eth->index, gateway, {}});
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

Result<int> choose_mtu(Netlink& netlink, const BridgeConfig& config) {
  if (config.mtu > 0) return config.mtu;
  TRY_ASSIGN(Underlay underlay, find_underlay(netlink, api::IpAddress::parse(config.node_ip)));
  return underlay.mtu - config.mtu_overhead;
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
  TRY_ASSIGN(api::Cidr address, cidr(config.address));
  TRY_ASSIGN(state_->mtu, choose_mtu(netlink, config));
  TRY(create_bridge(netlink, config.name, mac_of(address.address), state_->mtu));
  TRY_ASSIGN(auto bridge, find_link(netlink, config.name));
  if (!bridge || bridge->kind != "bridge") {
    return make_error(Code::kConflict, fmt::format("link {} is not a bridge", config.name));
  }
  state_->bridge = bridge->index;

  std::vector<api::Cidr> addresses = {address};
  for (const std::string& text : config.host_addresses) {
    TRY_ASSIGN(api::IpAddress extra, ip(text));
    addresses.push_back({extra, extra.bits()});
  }
  TRY(set_addresses(netlink, bridge->index, addresses));
  if (!config.service_cidr.empty()) {
    TRY_ASSIGN(api::Cidr services, cidr(config.service_cidr));
    services.address = services.network();
    TRY(set_route(netlink, {services, bridge->index, {}, address.address}));
  }
  // Host ports and node ports on 127.0.0.1 lead to pods; pods themselves are kept from the host's
  // 127.0.0.0/8 by a rule.
  std::string conf = "/proc/sys/net/ipv4/conf/" + config.name;
  TRY(write_setting(conf + "/route_localnet", "1"));
  TRY(write_setting(conf + "/send_redirects", "0"));
  TRY(change_settings(config.state_dir));
  state_->ready = true;
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
  TRY_ASSIGN(api::IpAddress address, ip(link.address));
  TRY_ASSIGN(api::IpAddress gateway, ip(link.gateway));
  base::UniqueFd target(open(link.netns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!target.valid()) return errno_error(errno, "open " + link.netns);
  TRY(refuse_own_namespace(target.get(), link.netns));

  VethPair pair;
  pair.name = host_link_name(link.sandbox_id);
  pair.peer_name = kPodInterface;
  pair.peer_mac = mac_of(address);
  pair.peer_netns = target.get();
  pair.master = state_->bridge;
  pair.mtu = state_->mtu;
  int refused = 0;
  auto made = create_veth(netlink, pair, &refused);
  if (!made.ok() && refused == EEXIST) {
    // From before: kept if it leads into this pod.
    if (set_up_inside(link, address, gateway, target.get()).ok()) return {};
    TRY(delete_link(netlink, pair.name));
    made = create_veth(netlink, pair, &refused);
  }
  TRY(std::move(made));
  TRY_ASSIGN(auto port, find_link(netlink, pair.name));
  if (port) TRY(set_hairpin(netlink, port->index));
  auto inside = set_up_inside(link, address, gateway, target.get());
  if (!inside.ok()) {
    if (auto undone = delete_link(netlink, pair.name); !undone.ok()) {
      base::log(base::Level::kWarning, "network", "{}", undone.error().message);
    }
  }
  return inside;
}

Result<void> BridgeLinks::detach(const std::string& sandbox_id) {
  if (!state_->netlink) {
    TRY_ASSIGN(state_->netlink, Netlink::open());
  }
  return delete_link(*state_->netlink, host_link_name(sandbox_id));
}

Result<void> remove_bridge(const std::string& bridge, const std::string& state_dir) {
  TRY_ASSIGN(Netlink netlink, Netlink::open());
  TRY_ASSIGN(std::vector<LinkInfo> links, list_links(netlink));
  int index = 0;
  bool others = false;
  for (const LinkInfo& link : links) {
    if (link.name == bridge) index = link.index;
    others |= link.kind == "bridge" && link.name != bridge;
  }
  for (const LinkInfo& link : links) {
    if (index != 0 && link.master == index && link.kind == "veth") {
      TRY(delete_link(netlink, link.name));
    }
  }
  TRY(delete_link(netlink, bridge));
  return others ? Result<void>() : restore_settings(state_dir);
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
