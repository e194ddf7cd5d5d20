#include "cli/node_network.h"

#include <cstdlib>

#include "agent/network/machine_settings.h"
#include "api/ip_list.h"
#include "base/json.h"
#include "base/log.h"

namespace knarr::cli {

namespace {

agent::NetworkBackend backend(const NodeOptions& o) {
  return agent::parse_backend(o.network_backend).value_or(agent::NetworkBackend::kVxlan);
}

bool by_plugins(const NodeOptions& o) { return backend(o) == agent::NetworkBackend::kNone; }

// Who brings plug-ins of his own has their policies, unless he says otherwise.
bool with_policies(const NodeOptions& o) {
  return !o.disable_network_policy && (!by_plugins(o) || o.enable_network_policy);
}

agent::IptablesOptions iptables_options(const NodeOptions& o, bool v6) {
  agent::IptablesOptions i;
  i.v6 = v6;
  i.prefix = o.chain_prefix;
  if (with_policies(o)) i.expected.insert(agent::RulePart::kPolicy);
  return i;
}

agent::BridgeOptions bridge_options(const NodeOptions& o) {
  agent::BridgeOptions b;
  b.bridge = o.bridge;
  b.cluster_cidr = o.cluster_cidr;
  b.service_cidr = o.service_cidr;
  b.host_addresses = {o.cluster_dns};
  b.state_dir = o.data_dir + "/agent/network";
  b.node_ip = o.node_ip;
  b.direct_routes = backend(o) == agent::NetworkBackend::kHostGw;
  b.mtu_overhead = agent::overhead_of(backend(o), api::is_v6(api::first_of(o.node_ip)));
  return b;
}

agent::CniOptions cni_options(const NodeOptions& o) {
  agent::CniOptions c;
  c.conf_dir = o.cni_conf_dir;
  c.plugins.bin_dirs = o.cni_bin_dir;
  c.state_dir = o.data_dir + "/agent/network/cni";
  return c;
}

agent::OverlayOptions overlay_options(const NodeOptions& o) {
  agent::OverlayOptions v;
  v.backend = backend(o);
  v.node_name = o.node_name;
  v.cluster_cidr = o.cluster_cidr;
  v.device = o.vxlan_device;
  v.port = static_cast<uint16_t>(atoi(o.vxlan_port.c_str()));
  return v;
}

agent::ServiceRulesConfig rules_config(const NodeOptions& o) {
  agent::ServiceRulesConfig r;
  r.prefix = o.chain_prefix;
  r.node_name = o.node_name;
  r.cluster_cidr = o.cluster_cidr;
  r.answered_here = {o.cluster_dns};
  return r;
}

agent::DnsOptions dns_options(const NodeOptions& o) {
  agent::DnsOptions d;
  d.address = o.cluster_dns;
  d.domain = o.cluster_domain;
  d.resolv_conf = o.resolv_conf;
  return d;
}

std::string pod_ranges(const json::Value& node) {
  std::vector<std::string> ranges;
  for (const json::Value& range : node["spec"]["podCIDRs"].elements()) {
    ranges.push_back(range.text());
  }
  if (ranges.empty()) ranges.push_back(node["spec"]["podCIDR"].text());
  return api::join_list(ranges);
}

std::vector<std::unique_ptr<agent::Iptables>> make_iptables(base::Loop& loop,
                                                            const NodeOptions& o) {
  std::vector<std::unique_ptr<agent::Iptables>> out;
  for (const std::string& range : api::split_list(o.cluster_cidr)) {
    out.push_back(std::make_unique<agent::Iptables>(loop, iptables_options(o, api::is_v6(range))));
  }
  return out;
}

agent::NodeRules rules_of(const std::vector<std::unique_ptr<agent::Iptables>>& iptables) {
  std::vector<agent::Iptables*> families;
  for (const auto& one : iptables) families.push_back(one.get());
  return agent::NodeRules(std::move(families));
}

}  // namespace

NodeNetwork::NodeNetwork(base::Loop& loop, Random& random, client::Client& client,
                         const NodeOptions& options)
    : client_(client),
      options_(options),
      iptables_(make_iptables(loop, options)),
      bridge_(by_plugins(options) ? nullptr
                                  : std::make_unique<agent::BridgeNetwork>(
                                        loop, rules_of(iptables_), bridge_options(options))),
      cni_(bridge_ ? nullptr : std::make_unique<agent::CniNetwork>(loop, cni_options(options))),
      host_link_(bridge_ ? nullptr
                         : std::make_unique<agent::HostLink>(loop, rules_of(iptables_),
                                                             bridge_options(options))),
      policies_(loop, client, rules_of(iptables_), options.node_name),
      pods_(bridge_ ? static_cast<agent::PodNetwork&>(*bridge_) : *cni_, policies_),
      overlay_(loop, random, client, overlay_options(options)),
      services_(client),
      proxy_(loop, services_, rules_of(iptables_), rules_config(options)),
      dns_(loop, services_, random, dns_options(options)),
      custom_dns_(client, loop, options.node_name,
                  [this](agent::CustomDns custom) { dns_.set_custom(std::move(custom)); }) {}

NodeNetwork::~NodeNetwork() = default;

Result<void> NodeNetwork::start() {
  std::string v6_range = api::of_family(options_.cluster_cidr, true);
  if (!v6_range.empty() && !agent::has_ipv6()) {
    return make_error(Code::kServiceUnavailable,
                      "--cluster-cidr: " + v6_range + ": this machine's kernel has no IPv6");
  }
  services_.on_change([this] { proxy_.changed(); });
  services_.start();
  if (with_policies(options_)) policies_.start();
  if (cni_) {
    TRY(cni_->start());
    host_link_->start();
  }
  overlay_.start();
  node_watch_ =
      client_.watch({"", "v1", "nodes", "", "", "metadata.name=" + options_.node_name}, *this);
  custom_dns_.start();
  return dns_.start();
}

void NodeNetwork::on_upsert(const ObjectRef& node) {
  auto value = json::parse(node->json);
  if (value.ok()) proxy_.set_node(agent::parse_proxy_node(*value));
  if (!bridge_ || !value.ok() || (*value)["spec"]["podCIDR"].as_string().empty()) return;
  auto set = bridge_->set_pod_cidr(pod_ranges(*value));
  if (!set.ok()) base::log(base::Level::kError, "network", "{}", set.error().message);
}

}  // namespace knarr::cli
