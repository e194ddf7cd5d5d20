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
void let_rules_see_bridged_packets(const std::string& state_dir) {
  if (!base::file_exists(kBridgedPackets)) {
    std::string modprobe = base::find_program("modprobe");
    if (!modprobe.empty())
      static_cast<void>(base::run_process({modprobe, "br_netfilter"}, "").ok());
  }
  bool all = true;
  for (const char* path : {kBridgedPackets, kBridgedPackets6}) {
    all &= change_machine_setting(path, "1", state_dir).ok();
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

BridgeConfig config_of(const BridgeOptions& options) {
  BridgeConfig config;
  config.name = options.bridge;
  for (const std::string& a : options.host_addresses) config.addresses.push_back(whole(a));
  config.service_cidr = options.service_cidr;
  config.node_ip = options.node_ip;
  config.state_dir = options.state_dir;
  return config;
}

}  // namespace

HostLink::HostLink(base::Loop& loop, NodeRules rules, BridgeOptions options)
    : rules_(std::move(rules)),
      options_(std::move(options)),
      keeper_(loop, worker_, options_.bridge,
              [this] {
                return [config = config_of(options_)]() -> Result<void> {
                  TRY(base::make_dirs(config.state_dir));
                  TRY(BridgeLinks().ensure(config));
                  let_rules_see_bridged_packets(config.state_dir);
                  return {};
                };
              }),
      worker_(loop) {}

void HostLink::start() {
  if (options_.host_addresses.empty()) return;
  keeper_.start();
  rules_.set(RulePart::kNetwork,
             [this](bool v6) { return host_rules(options_, rules_.prefix(), v6); });
}

}  // namespace knarr::agent
