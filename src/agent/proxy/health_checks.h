// Answers load balancers outside the cluster that ask a node whether it has endpoints of a service
// of policy Local: 200 with their number, or 503, on the service's healthCheckNodePort. Loop
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "agent/proxy/service_watch.h"
#include "base/loop.h"
#include "net/server.h"

namespace knarr::agent {

// The body of an answer, as kube-proxy writes it.
std::string health_check_body(const NamespacedName& service, size_t endpoints);

class HealthChecks {
 public:
  // `v6`: asked by IPv6, too.
  HealthChecks(base::Loop& loop, const ServiceWatch& services, std::string node, bool v6 = false);
  ~HealthChecks();

  // The services have changed: ports are opened and closed. One that is not free is tried again
  // with the next change, and told of once.
  void update();
  size_t open_ports() const { return open_.size(); }

 private:
  struct Listener {
    uint16_t port = 0;
    std::unique_ptr<net::Server> server;
  };
  void answer(const NamespacedName& service, const net::ExchangePtr& exchange) const;

  base::Loop& loop_;
  const ServiceWatch& services_;
  std::string node_;
  bool v6_;
  std::map<NamespacedName, Listener> open_;
  std::map<NamespacedName, uint16_t> refused_;  // ports that are another's
};

}  // namespace knarr::agent
