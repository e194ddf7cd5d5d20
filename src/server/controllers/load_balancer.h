// The load balancer of a cluster that has no other: a Service of type LoadBalancer, without a
// loadBalancerClass, gets the addresses of the nodes; the nodes' service proxies answer on them.
//
//   - nodes that are Ready, without the label
//   node.kubernetes.io/exclude-from-external-load-balancers;
//     where any node has the label svccontroller.knarr.io/enablelb=true, those alone
//   - of a node its ExternalIP, else its InternalIP, of the service's families
//   - under externalTrafficPolicy Local only nodes with an endpoint that is ready
//   - a port belongs to one service: the oldest that asks for it. Ports that nodes themselves
//     listen on are nobody's
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/controllers/controller.h"

namespace knarr::server {

// What matters of a node.
struct BalancerNode {
  std::vector<std::string> v4, v6;  // addresses that may be given, the best first
  bool usable = false;
  bool enabled = false;  // by its label
  bool operator==(const BalancerNode&) const = default;
};
BalancerNode balancer_node(const json::Value& node);

// "TCP/80"
std::vector<std::string> balanced_ports(const json::Value& service);
// Whether it is ours to serve.
bool wants_balancer(const json::Value& service);

// status.loadBalancer.ingress for the service. `local`: the nodes with ready endpoints.
json::Value balancer_ingress(const json::Value& service,
                             const std::map<std::string, BalancerNode>& nodes,
                             const std::set<std::string>& local);

// What a service asks for, and since when it exists.
struct BalancerClaim {
  int64_t created = 0;
  std::vector<std::string> ports;
  bool operator==(const BalancerClaim&) const = default;
};
// Those that can't have their ports, and why: older services come first, and one that is refused
// holds none. `taken`: ports of the nodes themselves.
std::map<NamespacedName, std::string> refused_balancers(
    const std::map<NamespacedName, BalancerClaim>& claims, const std::set<std::string>& taken);

class LoadBalancerController final : public Controller {
 public:
  // Ports that nodes listen on themselves.
  LoadBalancerController(const ControllerContext& context, const std::vector<int64_t>& taken_tcp,
                         const std::vector<int64_t>& taken_udp = {});
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  void service_changed(const ObjectRef& previous, const ObjectRef& object);
  void node_changed(const ObjectRef& previous, const ObjectRef& object);
  void judge();
  std::set<std::string> local_nodes(const NamespacedName& service) const;

  std::set<std::string> taken_;
  std::map<std::string, BalancerNode> nodes_;
  std::map<NamespacedName, BalancerClaim> services_;
  std::map<NamespacedName, std::string> refused_;  // of them
  std::map<NamespacedName, std::string> told_;     // refusals, once each
};

}  // namespace knarr::server
