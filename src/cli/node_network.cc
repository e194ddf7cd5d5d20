#include "cli/node_network.h"

#include <cstdlib>

#include "api/ip.h"
#include "base/json.h"
#include "base/log.h"

namespace knarr::cli {

namespace {

agent::IptablesOptions iptables_options(const NodeOptions& o) {
  agent::IptablesOptions i;
  i.prefix = o.chain_prefix;
  if (!o.disable_network_policy) i.expected.insert(agent::RulePart::kPolicy);
  return i;
}

agent::NetworkBackend backend(const NodeOptions& o) {
  return agent::parse_backend(o.network_backend).value_or(agent::NetworkBackend::kVxlan);
}

agent::BridgeOptions bridge_options(const NodeOptions& o) {
  agent::BridgeOptions b;
  b.bridge = o.bridge;
  b.cluster_cidr = o.cluster_cidr;
  b.service_cidr = o.service_cidr;
  b.host_addresses = {o.cluster_dns};
  b.state_dir = o.data_dir + "/agent/network";
  b.node_ip = o.node_ip;
  auto ip = api::IpAddress::parse(o.node_ip);
  b.mtu_overhead = agent::overhead_of(backend(o), ip && ip->v6);
  return b;
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

}  // namespace

NodeNetwork::NodeNetwork(base::Loop& loop, Random& random, client::Client& client,
                         const NodeOptions& options)
    : client_(client),
      options_(options),
      iptables_(loop, iptables_options(options)),
      bridge_(loop, iptables_, bridge_options(options)),
      policies_(loop, client, iptables_, options.node_name),
      pods_(bridge_, policies_),
      overlay_(loop, client, overlay_options(options)),
      services_(client),
      proxy_(loop, services_, iptables_, rules_config(options)),
      dns_(loop, services_, random, dns_options(options)) {}

NodeNetwork::~NodeNetwork() = default;

Result<void> NodeNetwork::start() {
  services_.on_change([this] { proxy_.changed(); });
  services_.start();
  if (!options_.disable_network_policy) policies_.start();
  overlay_.start();
  node_watch_ =
      client_.watch({"", "v1", "nodes", "", "", "metadata.name=" + options_.node_name}, *this);
  return dns_.start();
}

void NodeNetwork::on_upsert(const ObjectRef& node) {
  auto value = json::parse(node->json);
  if (value.ok()) proxy_.set_node(agent::parse_proxy_node(*value));
  std::string cidr = value.ok() ? (*value)["spec"]["podCIDR"].text() : std::string();
  if (cidr.empty()) return;
  auto set = bridge_.set_pod_cidr(cidr);
  if (!set.ok()) base::log(base::Level::kError, "network", "{}", set.error().message);
}

}  // namespace knarr::cli
