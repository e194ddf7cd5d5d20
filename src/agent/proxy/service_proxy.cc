#include "agent/proxy/service_proxy.h"

#include <algorithm>

namespace knarr::agent {

ServiceProxy::ServiceProxy(Clock& clock, ServiceWatch& services, Iptables& iptables,
                           ServiceRulesConfig config)
    : clock_(clock),
      services_(services),
      iptables_(iptables),
      config_(std::move(config)),
      timer_(clock.timer([this] { render(); })) {
  config_.prefix = iptables.prefix();
  config_.masquerade_mark = iptables.masquerade_mark();
}

void ServiceProxy::changed() {
  if (timer_->active()) return;
  int64_t since_ms = clock_.monotonic_ms() - last_ms_;
  timer_->start(std::max<int64_t>(0, kSpacingMs - since_ms));
}

void ServiceProxy::render() {
  last_ms_ = clock_.monotonic_ms();
  iptables_.set(RulePart::kServices, service_rules(services_.state(), config_));
}

}  // namespace knarr::agent
