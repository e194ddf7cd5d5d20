#include "agent/proxy/service_proxy.h"

#include <utility>

#include "api/ip_list.h"
#include "base/log.h"

namespace knarr::agent {

ServiceProxy::ServiceProxy(base::Loop& loop, ServiceWatch& services, NodeRules rules,
                           ServiceRulesConfig config)
    : loop_(loop),
      services_(services),
      rules_(std::move(rules)),
      config_(std::move(config)),
      health_checks_(loop, services, config_.node_name,
                     api::has_family(config_.cluster_cidr, true)),
      timer_(loop.timer([this] { render(); })) {
  config_.prefix = rules_.prefix();
  config_.masquerade_mark = rules_.masquerade_mark();
}

void ServiceProxy::changed() {
  if (timer_->active()) return;
  timer_->start(spacing_.wait_ms(loop_.monotonic_ms()));
}

void ServiceProxy::set_node(ProxyNode node) {
  if (config_.node == node) return;
  config_.node = std::move(node);
  all_ = true;
  if (services_.synced()) changed();
}

// Names of services have a "/", and none begins with one.
Iptables::Pieces ServiceProxy::pieces_of(bool v6, const std::set<NamespacedName>& services) {
  config_.v6 = v6;
  Iptables::Pieces pieces;
  pieces["/"] = first_rules(services_.state(), config_, by_net_);
  for (const NamespacedName& name : services) {
    pieces[name.text()] = rules_of_service(services_.state(), config_, by_net_, name);
  }
  pieces["~"] = last_rules(config_);
  return pieces;
}

void ServiceProxy::render() {
  spacing_.rendered(loop_.monotonic_ms());
  health_checks_.update();
  std::set<NamespacedName> changed = services_.take_changed();
  bool nets = by_net(services_.state());
  all_ |= by_net_ != nets;
  by_net_ = nets;
  if (std::exchange(all_, false)) {
    for (const auto& [name, service] : services_.state().services) changed.insert(name);
  }
  rules_.change(
      RulePart::kServices, [&](bool v6) { return pieces_of(v6, changed); },
      [this, alive = std::weak_ptr<bool>(alive_)](const Result<void>& result) {
        if (!alive.expired() && result.ok()) applied();
      });
}

// Flows are forgotten after the rules have changed: else they would be made again by the old ones.
void ServiceProxy::applied() {
  for (bool v6 : rules_.families()) forget_changed(v6);
}

void ServiceProxy::forget_changed(bool v6) {
  UdpBackends now = udp_backends(services_.state(), config_.answered_here, config_.node, v6);
  UdpBackends changed = changed_backends(udp_[v6], now);
  if (changed.empty()) return;
  udp_[v6] = std::move(now);
  if (!worker_) worker_ = std::make_unique<base::Worker>(loop_);
  worker_->run<void>([changed = std::move(changed), v6] { return forget_flows(changed, v6); },
                     [](const Result<void>& result) {
                       if (!result.ok()) {
                         base::log(base::Level::kWarning, "proxy", "{}", result.error().message);
                       }
                     });
}

}  // namespace knarr::agent
