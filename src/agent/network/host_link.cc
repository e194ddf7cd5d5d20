#include "agent/network/host_link.h"

#include <algorithm>

#include "agent/network/machine_settings.h"
#include "api/ip_list.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/run_process.h"

namespace knarr::agent {

namespace {

constexpr int64_t kFirstRetryMs = 500;
constexpr int64_t kLastRetryMs = 30'000;
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
      worker_(loop),
      monitor_(loop, api::has_family(api::join_list(options_.host_addresses), true),
               [this](const std::string& name) { link_changed(name); }),
      retry_(loop.timer([this] { make(); })) {}

void HostLink::start() {
  if (options_.host_addresses.empty()) return;
  if (auto listening = monitor_.start(); !listening.ok()) {
    base::log(base::Level::kWarning, "network", "a link that goes may stay unnoticed: {}",
              listening.error().message);
  }
  worker_.push([] { let_rules_see_bridged_packets(); });
  make();
  rules_.set(RulePart::kNetwork,
             [this](bool v6) { return host_rules(options_, rules_.prefix(), v6); });
}

void HostLink::make() {
  if (std::exchange(making_, true)) {
    again_ = true;
    return;
  }
  retry_->stop();
  worker_.run<void>(
      [config = config_of(options_)]() -> Result<void> {
        TRY(base::make_dirs(config.state_dir));
        return BridgeLinks().ensure(config);
      },
      [this](const Result<void>& result) { made(result); });
}

void HostLink::made(const Result<void>& result) {
  making_ = false;
  retry_ms_ = result.ok() ? 0 : std::clamp(retry_ms_ * 2, kFirstRetryMs, kLastRetryMs);
  if (!result.ok()) {
    base::log(base::Level::kError, "network",
              "no cluster DNS at this node, trying again in {} ms: {}", retry_ms_,
              result.error().message);
    retry_->start(retry_ms_);
  }
  if (std::exchange(again_, false)) make();
}

// Links of pods come and go all the time: they are of interest as long as ours is not there.
void HostLink::link_changed(const std::string& name) {
  if (retry_ms_ > 0 || name == options_.bridge) make();
}

}  // namespace knarr::agent
