#include "agent/proxy/service_proxy.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

ServiceProxy::ServiceProxy(base::Loop& loop, ServiceWatch& services, Iptables& iptables,
                           ServiceRulesConfig config)
    : loop_(loop),
      services_(services),
      iptables_(iptables),
      config_(std::move(config)),
      health_checks_(loop, services, config_.node_name),
      timer_(loop.timer([this] { render(); })) {
  config_.prefix = iptables.prefix();
  config_.masquerade_mark = iptables.masquerade_mark();
}

void ServiceProxy::changed() {
  if (timer_->active()) return;
  int64_t since_ms = loop_.monotonic_ms() - last_ms_;
  timer_->start(std::max<int64_t>(0, kSpacingMs - since_ms));
}

void ServiceProxy::set_node(ProxyNode node) {
  if (config_.node == node) return;
  config_.node = std::move(node);
  if (services_.synced()) changed();
}

void ServiceProxy::render() {
  last_ms_ = loop_.monotonic_ms();
  health_checks_.update();
  iptables_.set(RulePart::kServices, service_rules(services_.state(), config_),
                [this, alive = std::weak_ptr<bool>(alive_)](const Result<void>& result) {
                  if (!alive.expired() && result.ok()) applied();
                });
}

// Flows are forgotten after the rules have changed: else they would be made again by the old ones.
void ServiceProxy::applied() {
  UdpBackends now = udp_backends(services_.state(), config_.answered_here);
  UdpBackends changed = changed_backends(udp_, now);
  if (changed.empty()) return;
  udp_ = std::move(now);
  if (!worker_) worker_ = std::make_unique<Worker>(loop_);
  worker_->run<void>([changed = std::move(changed)] { return forget_flows(changed); },
                     [](const Result<void>& result) {
                       if (!result.ok()) {
                         base::log(base::Level::kWarning, "proxy", "{}", result.error().message);
                       }
                     });
}

}  // namespace knarr::agent
