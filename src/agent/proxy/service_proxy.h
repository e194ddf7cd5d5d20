// kube-proxy's part of a node: keeps the rules of services true to the services and endpoints of
// the cluster. A change is rendered at the end of the loop's turn, many together (spacing.h). Only
// services that have changed are rendered. No timer runs while nothing changes. Loop thread.
#pragma once

#include <memory>

#include "agent/proxy/health_checks.h"
#include "agent/proxy/node_rules.h"
#include "agent/proxy/service_rules.h"
#include "agent/proxy/service_watch.h"
#include "agent/proxy/spacing.h"
#include "agent/proxy/udp_flows.h"
#include "base/worker.h"

namespace knarr::agent {

class ServiceProxy {
 public:
  // prefix and masquerade_mark of the config are taken from `rules`, its family is set for each.
  ServiceProxy(base::Loop& loop, ServiceWatch& services, NodeRules rules,
               ServiceRulesConfig config);

  // The caller connects it: watch.on_change([&] { proxy.changed(); }).
  void changed();
  // What this node's own object says.
  void set_node(ProxyNode node);
  bool settled() const { return !timer_->active(); }  // what is known is rendered

 private:
  void render();
  void applied();
  Iptables::Pieces pieces_of(bool v6, const std::set<NamespacedName>& services);
  void forget_changed(bool v6);

  base::Loop& loop_;
  ServiceWatch& services_;
  NodeRules rules_;
  ServiceRulesConfig config_;
  HealthChecks health_checks_;
  bool all_ = true;      // services are to be rendered, not only those that changed
  bool by_net_ = false;  // as they are rendered
  std::unique_ptr<Timer> timer_;
  Spacing spacing_;
  std::map<bool, UdpBackends> udp_;       // by family, as they were when flows were looked at last
  std::unique_ptr<base::Worker> worker_;  // made when there are such flows
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
