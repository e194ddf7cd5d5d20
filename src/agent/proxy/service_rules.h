// The rules that make services work: a pure function of services and endpoints. The chains have the
// structure of kube-proxy's, under our prefix:
//
//   nat:    PREROUTING, OUTPUT -> SERVICES -> SVC-x (a port of a service) -> SEP-x (an endpoint)
//                                          -> EXT-x (from outside the cluster) -> SVC-x, SVL-x
//                                 (SVL-x: the endpoints on this node alone)
//                                          -> NODEPORTS -> EXT-x
//           With more than kMostInOneChain cluster IPs SERVICES leads to those through NET-x, one
//           for each 256 addresses: fewer rules for a packet to pass, fewer to write when a service
//           comes or goes.
//           Instead of endpoints that are not there: REJECT or DROP (iptables.h).
//   filter: FORWARD lets pass what was chosen
#pragma once

#include <map>
#include <set>
#include <string>

#include "agent/proxy/rule_set.h"
#include "agent/proxy/service_view.h"

namespace knarr::agent {

// What a Node says that matters here.
struct ProxyNode {
  std::string zone;
  // A load balancer's address may be a node's outside address, behind which packets come with the
  // inside one.
  std::map<std::string, std::string> inside;  // ExternalIP -> InternalIP
  bool operator==(const ProxyNode&) const = default;
};
ProxyNode parse_proxy_node(const json::Value& node);

inline constexpr size_t kMostInOneChain = 128;
bool by_net(const ServiceState& state);  // whether there are so many

struct ServiceRulesConfig {
  std::string prefix = "KNARR";
  std::string node_name;
  std::string cluster_cidr;  // of each IP family one; none: nothing is known to be inside
  std::string masquerade_mark = "0x4000/0x4000";
  std::set<std::string> answered_here;  // addresses of services that knarr itself answers
  ProxyNode node = {};
  bool v6 = false;
};

// In pieces, of the IP family that the config says: what is there whatever services there are, what
// one service adds (nothing when there is no such service), and what comes after all of them.
RuleSet first_rules(const ServiceState& state, const ServiceRulesConfig& config, bool by_net);
RuleSet rules_of_service(const ServiceState& state, const ServiceRulesConfig& config, bool by_net,
                         const NamespacedName& service);
RuleSet last_rules(const ServiceRulesConfig& config);

}  // namespace knarr::agent
