#include "agent/network/host_link.h"

#include "agent/network/machine_settings.h"
#include "api/ip_list.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/run_process.h"

namespace knarr::agent {

namespace {

constexpr char kBridgedPackets[] = "/proc/sys/net/bridge/bridge-nf-call-iptables";
constexpr char kBridgedPackets6[] = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";

// Else the answer of a pod on the bridge of the one that asked would go past the connection
// tracking that has to translate it back.
void let_rules_see_bridged_packets() {
  if (!base::file_exists(kBridgedPackets)) {
    std::string modprobe = base::find_program("modprobe");
    if (!modprobe.empty())
      static_cast<void>(base::run_process({modprobe, "br_netfilter"}, "").ok());
  }
  bool all = true;
  for (const char* path : {kBridgedPackets, kBridgedPackets6}) {
    all &= write_setting(path, "1").ok();
  }
  if (all) return;
  base::log(
      base::Level::kWarning, "network",
      "no br_netfilter in this kernel: services and policies fail between pods of one bridge");
}

// "10.43.0.10/32"
std::string whole(const std::string& address) {
  return address + (api::is_v6(address) ? "/128" : "/32");
}

RuleSet host_rules(const BridgeOptions& options, const std::string& prefix, bool v6) {
  RuleSet rules;
  std::string host = prefix + "-HOST";
  rules.chain("filter", host);
  for (const std::string& address : options.host_addresses) {
    if (api::is_v6(address) != v6) continue;
    for (const char* protocol : {"udp", "tcp"}) {
      rules.rule(
          "filter", host,
          fmt::format("-d {0} -p {1} -m {1} --dport 53 -j ACCEPT", whole(address), protocol));
    }
  }
  rules.jump("filter", "INPUT", comment("knarr host") + " -j " + host);
  return rules;
}

}  // namespace

HostLink::HostLink(base::Loop& loop, NodeRules rules, BridgeOptions options)
    : rules_(std::move(rules)),
      options_(std::move(options)),
      links_(std::make_shared<BridgeLinks>()),
      worker_(loop) {}

void HostLink::start() {
  if (options_.host_addresses.empty()) return;
  BridgeConfig config;
  config.name = options_.bridge;
  for (const std::string& a : options_.host_addresses) config.addresses.push_back(whole(a));
  config.service_cidr = options_.service_cidr;
  config.node_ip = options_.node_ip;
  config.state_dir = options_.state_dir;
  std::function<Result<void>()> job = [links = links_, config]() -> Result<void> {
    TRY(base::make_dirs(config.state_dir));
    let_rules_see_bridged_packets();
    return links->ensure(config);
  };
  worker_.run<void>(job, [](const Result<void>& made) {
    if (!made.ok()) base::log(base::Level::kError, "network", "{}", made.error().message);
  });
  rules_.set(RulePart::kNetwork,
             [this](bool v6) { return host_rules(options_, rules_.prefix(), v6); });
}

}  // namespace knarr::agent
