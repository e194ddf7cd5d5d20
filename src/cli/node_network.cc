#include "cli/node_network.h"

#include "base/json.h"
#include "base/log.h"

namespace knarr::cli {

namespace {

agent::IptablesOptions iptables_options(const ServerOptions& o) {
  agent::IptablesOptions i;
  i.prefix = o.chain_prefix;
  return i;
}

agent::BridgeOptions bridge_options(const ServerOptions& o) {
  agent::BridgeOptions b;
  b.bridge = o.bridge;
  b.cluster_cidr = o.cluster_cidr;
  b.service_cidr = o.service_cidr;
  b.host_addresses = {o.cluster_dns};
  b.state_dir = o.data_dir + "/agent/network";
  return b;
}

agent::ServiceRulesConfig rules_config(const ServerOptions& o) {
  agent::ServiceRulesConfig r;
  r.prefix = o.chain_prefix;
  r.node_name = o.node_name;
  r.cluster_cidr = o.cluster_cidr;
  r.answered_here = {o.cluster_dns};
  return r;
}

agent::DnsOptions dns_options(const ServerOptions& o) {
  agent::DnsOptions d;
  d.address = o.cluster_dns;
  d.domain = o.cluster_domain;
  d.resolv_conf = o.resolv_conf;
  return d;
}

}  // namespace

NodeNetwork::NodeNetwork(base::Loop& loop, Random& random, client::Client& client,
                         const ServerOptions& options)
    : client_(client),
      options_(options),
      iptables_(loop, iptables_options(options)),
      bridge_(loop, iptables_, bridge_options(options)),
      services_(client),
      proxy_(loop, services_, iptables_, rules_config(options)),
      dns_(loop, services_, random, dns_options(options)),
      dns_object_(client, loop, options.cluster_dns) {}

NodeNetwork::~NodeNetwork() = default;

Result<void> NodeNetwork::start() {
  services_.on_change([this] { proxy_.changed(); });
  services_.start();
  dns_object_.ensure();
  node_watch_ =
      client_.watch({"", "v1", "nodes", "", "", "metadata.name=" + options_.node_name}, *this);
  return dns_.start();
}

void NodeNetwork::on_upsert(const ObjectRef& node) {
  auto value = json::parse(node->json);
  std::string cidr = value.ok() ? (*value)["spec"]["podCIDR"].text() : std::string();
  if (cidr.empty()) return;
  auto set = bridge_.set_pod_cidr(cidr);
  if (!set.ok()) base::log(base::Level::kError, "network", "{}", set.error().message);
}

}  // namespace knarr::cli
