#include "cli/dev_network.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/network/in_namespace.h"
#include "agent/network/machine_settings.h"
#include "agent/network/routes.h"
#include "agent/network/rtnetlink.h"
#include "agent/proxy/iptables.h"
#include "base/file.h"
#include "base/format.h"
#include "base/run_process.h"

namespace knarr::cli {

namespace {

constexpr int kFirstSubnet = 100;
constexpr int kLastSubnet = 254;
constexpr int kBridgeHost = 254;  // its share in the bridge's hardware address
constexpr char kForward[] = "/proc/sys/net/ipv4/ip_forward";
constexpr char kBridge[] = "lan";

Result<base::UniqueFd> open_namespace(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  return fd;
}

Result<agent::Netlink> netlink_in(int target) {
  TRY_ASSIGN(auto inside, agent::InNamespace::enter(target, "a network namespace"));
  return agent::Netlink::open();
}

bool is_namespace(const std::string& path) {
  struct statfs fs {};
  return statfs(path.c_str(), &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

// In a child, as a namespace can be left for good only by ending.
int make_namespace_here(const std::string& path) {
  if (unshare(CLONE_NEWNET) != 0) return errno;
  auto netlink = agent::Netlink::open();
  if (!netlink.ok() || !agent::set_link_up(*netlink, 1).ok()) return EIO;  // 1: loopback
  if (!agent::write_setting(kForward, "1").ok()) return EIO;
  return mount("/proc/self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) == 0 ? 0 : errno;
}

Result<base::UniqueFd> make_namespace(const std::string& path) {
  base::UniqueFd point(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!point.valid()) return errno_error(errno, "make " + path);
  pid_t child = fork();
  if (child < 0) return errno_error(errno, "fork");
  if (child == 0) _exit(make_namespace_here(path));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  int failed = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
  if (failed != 0) return errno_error(failed, "make network namespace " + path);
  return open_namespace(path);
}

api::IpAddress ip(int subnet, int host) {
  return *api::IpAddress::parse(fmt::format("10.89.{}.{}", subnet, host));
}

Result<void> bring_up(agent::Netlink& netlink, const std::string& name,
                      const api::IpAddress& address) {
  TRY_ASSIGN(auto link, agent::find_link(netlink, name));
  if (!link) return make_error(Code::kUnknown, "link " + name + " is gone");
  TRY(agent::set_addresses(netlink, link->index, {{address, 24}}));
  return agent::set_link_up(netlink, link->index);
}

bool is_port(const std::string& text) {
  if (text.empty() || text.size() > 5) return false;
  if (text.find_first_not_of("0123456789") != std::string::npos) return false;
  return std::stoi(text) > 0 && std::stoi(text) < 65536;
}

// The cluster's own links go first, so that another program's bridge is seen alone.
bool others_forward(agent::Netlink& netlink) {
  auto links = agent::list_links(netlink);
  if (!links.ok()) return true;
  return std::any_of(links->begin(), links->end(),
                     [](const agent::LinkInfo& l) { return l.kind == "bridge"; });
}

}  // namespace

Result<Published> parse_published(const std::string& text) {
  Published p;
  size_t slash = std::min(text.find('/'), text.size());
  size_t colon = text.find(':');
  if (slash < text.size()) p.protocol = text.substr(slash + 1);
  if (colon < slash) {
    p.host_port = text.substr(0, colon);
    p.port = text.substr(colon + 1, slash - colon - 1);
  }
  if (!is_port(p.host_port) || !is_port(p.port) || (p.protocol != "tcp" && p.protocol != "udp")) {
    return make_error(Code::kBadRequest, "--publish " + text + ": want HOSTPORT:PORT or .../udp");
  }
  return p;
}

Result<int> DevNetwork::free_subnet(const std::vector<int>& taken) {
  TRY_ASSIGN(agent::Netlink netlink, agent::Netlink::open());
  TRY_ASSIGN(auto addresses, agent::list_addresses(netlink));
  for (int n = kFirstSubnet; n <= kLastSubnet; n++) {
    api::Cidr ours{ip(n, 0), 24};
    bool used = std::find(taken.begin(), taken.end(), n) != taken.end();
    for (const auto& a : addresses) {
      used |= ours.contains(a.address.address) || a.address.contains(ours.address);
    }
    if (!used) return n;
  }
  return make_error(Code::kUnknown, "no free network: every 10.89.N.0/24 is in use");
}

std::string DevNetwork::address(int node) const { return ip(subnet_, 2 + node).text(); }

std::string DevNetwork::namespace_of(int node) const {
  return folder_ + "/node-" + std::to_string(node);
}

std::string DevNetwork::hex() const { return fmt::format("{:02X}", subnet_); }

Result<void> DevNetwork::make_switch(int mtu) const {
  TRY_ASSIGN(base::UniqueFd inside, make_namespace(folder_ + "/switch"));
  TRY_ASSIGN(agent::Netlink netlink, netlink_in(inside.get()));
  TRY(agent::create_bridge(netlink, kBridge, agent::mac_of(ip(subnet_, kBridgeHost)), mtu));
  TRY_ASSIGN(auto bridge, agent::find_link(netlink, kBridge));
  TRY_ASSIGN(base::UniqueFd home, open_namespace("/proc/thread-self/ns/net"));
  TRY_ASSIGN(agent::Netlink host, agent::Netlink::open());
  TRY(agent::delete_link(host, host_link()));
  agent::VethPair pair{"host",     host_link(),   agent::mac_of(ip(subnet_, 1)),
                       home.get(), bridge->index, mtu};
  int refused = 0;
  TRY(agent::create_veth(netlink, pair, &refused));
  TRY(bring_up(host, host_link(), ip(subnet_, 1)));
  // For who asks a published port on 127.0.0.1.
  std::string local = "/proc/sys/net/ipv4/conf/" + host_link() + "/route_localnet";
  return agent::write_setting(local, "1");
}

Result<void> DevNetwork::make_node(int node, int mtu) const {
  TRY_ASSIGN(base::UniqueFd middle, open_namespace(folder_ + "/switch"));
  TRY_ASSIGN(agent::Netlink ports, netlink_in(middle.get()));
  TRY_ASSIGN(auto bridge, agent::find_link(ports, kBridge));
  if (!bridge) return make_error(Code::kUnknown, "the switch of the cluster has no bridge");
  TRY_ASSIGN(base::UniqueFd inside, make_namespace(namespace_of(node)));
  api::IpAddress own = ip(subnet_, 2 + node);
  agent::VethPair pair{
      "node" + std::to_string(node), "eth0", agent::mac_of(own), inside.get(), bridge->index, mtu};
  int refused = 0;
  TRY(agent::create_veth(ports, pair, &refused));
  TRY_ASSIGN(agent::Netlink netlink, netlink_in(inside.get()));
  TRY(bring_up(netlink, "eth0", own));
  agent::Route away;
  away.to = *api::Cidr::parse("0.0.0.0/0");
  away.gateway = ip(subnet_, 1);
  return agent::set_route(netlink, away);
}

Result<void> DevNetwork::set_rules(const std::vector<std::string>& publish) const {
  TRY(agent::remove_rules(prefix()));
  std::string p = prefix(), net = fmt::format("10.89.{}.0/24", subnet_);
  std::string text = fmt::format(
      "*nat\n:{0}-POST - [0:0]\n:{0}-PUBLISH - [0:0]\n"
      "-A POSTROUTING -j {0}-POST\n"
      "-A PREROUTING -m addrtype --dst-type LOCAL -j {0}-PUBLISH\n"
      "-A OUTPUT -m addrtype --dst-type LOCAL -j {0}-PUBLISH\n"
      "-A {0}-POST -s {1} ! -d {1} -j MASQUERADE\n"
      "-A {0}-POST -s 127.0.0.0/8 -d {1} -j MASQUERADE\n"
      "-A {0}-POST -s {1} -d {1} -j MASQUERADE\n",
      p, net);
  for (const std::string& wanted : publish) {
    TRY_ASSIGN(Published one, parse_published(wanted));
    text += fmt::format("-A {}-PUBLISH -p {} --dport {} -j DNAT --to-destination {}:{}\n", p,
                        one.protocol, one.host_port, address(0), one.port);
  }
  text += fmt::format(
      "COMMIT\n*filter\n:{0}-FORWARD - [0:0]\n-I FORWARD -j {0}-FORWARD\n"
      "-A {0}-FORWARD -i {1} -j ACCEPT\n"
      "-A {0}-FORWARD -o {1} -m conntrack --ctstate DNAT,RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n",
      p, host_link());
  std::string program = base::find_program("iptables-restore");
  if (program.empty()) return make_error(Code::kUnknown, "iptables-restore is not installed");
  TRY_ASSIGN(auto done, base::run_process({program, "--wait", "10", "--noflush"}, text));
  if (done.exit_code != 0) return make_error(Code::kUnknown, "iptables-restore: " + done.err);
  return {};
}

Result<void> DevNetwork::ensure(int nodes, const std::vector<std::string>& publish) const {
  TRY(base::make_dirs(folder_, 0700));
  TRY_ASSIGN(std::string forward, base::read_file(kForward));
  if (forward[0] != '1') {
    TRY(base::write_file(forward_before(), forward));
    TRY(agent::write_setting(kForward, "1"));
  }
  int mtu = 1500;
  TRY_ASSIGN(agent::Netlink host, agent::Netlink::open());
  auto underlay = agent::find_underlay(host, std::nullopt);
  if (underlay.ok()) mtu = std::min(mtu, underlay->mtu);
  if (!is_namespace(folder_ + "/switch")) TRY(make_switch(mtu));
  for (int node = 0; node < nodes; node++) {
    if (!is_namespace(namespace_of(node))) TRY(make_node(node, mtu));
  }
  return set_rules(publish);
}

Result<void> DevNetwork::remove(bool last) const {
  TRY_ASSIGN(agent::Netlink host, agent::Netlink::open());
  TRY(agent::delete_link(host, host_link()));
  TRY(agent::remove_rules(prefix()));
  if (last && base::file_exists(forward_before())) {
    if (!others_forward(host)) TRY(agent::write_setting(kForward, "0"));
    unlink(forward_before().c_str());
  }
  return {};
}

}  // namespace knarr::cli
