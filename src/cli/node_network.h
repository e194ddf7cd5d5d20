// The network of the node of one process: iptables rules, the pods' bridge, the way to other nodes'
// pods, network policies, the service proxy, cluster DNS; put together in their order. The bridge
// waits for the node's podCIDRs, which the API tells. With the backend "none" there is no bridge
// and no way to other nodes: plug-ins of others (CNI) make the pods' network.
#pragma once

#include <memory>
#include <vector>

#include "agent/cni/cni_network.h"
#include "agent/dns/custom_dns_watch.h"
#include "agent/dns/dns_server.h"
#include "agent/network/bridge_network.h"
#include "agent/network/host_link.h"
#include "agent/network/overlay.h"
#include "agent/policy/network_policies.h"
#include "agent/proxy/service_proxy.h"
#include "cli/node_options.h"
#include "knarr/client.h"
#include "knarr/random.h"

namespace knarr::cli {

class NodeNetwork final : public client::WatchHandler {
 public:
  NodeNetwork(base::Loop& loop, Random& random, client::Client& client, const NodeOptions& options);
  ~NodeNetwork() override;

  Result<void> start();
  agent::PodNetwork& pods() { return pods_; }
  const agent::ServiceWatch& services() const { return services_; }
  agent::RelayPort& relay() { return overlay_.relay(); }

  void on_upsert(const ObjectRef& node) override;
  void on_delete(const ObjectRef&) override {}

 private:
  client::Client& client_;
  const NodeOptions& options_;
  std::vector<std::unique_ptr<agent::Iptables>> iptables_;  // of each IP family of the cluster
  std::unique_ptr<agent::BridgeNetwork> bridge_;  // null where plug-ins of others make the network
  std::unique_ptr<agent::CniNetwork> cni_;        // then this
  std::unique_ptr<agent::HostLink> host_link_;    // and this
  agent::NetworkPolicies policies_;
  agent::PolicyNetwork pods_;
  agent::Overlay overlay_;
  agent::ServiceWatch services_;
  agent::ServiceProxy proxy_;
  agent::DnsServer dns_;
  agent::CustomDnsWatch custom_dns_;
  std::unique_ptr<client::Watch> node_watch_;
};

}  // namespace knarr::cli
