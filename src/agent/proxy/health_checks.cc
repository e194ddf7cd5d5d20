#include "agent/proxy/health_checks.h"

#include <utility>

#include "agent/proxy/service_endpoints.h"
#include "base/format.h"
#include "base/log.h"

namespace knarr::agent {

std::string health_check_body(const NamespacedName& service, size_t endpoints) {
  return fmt::format(
      "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{}\",\n\t\t\"name\": \"{}\"\n\t}},\n"
      "\t\"localEndpoints\": {},\n\t\"serviceProxyHealthy\": true\n}}",
      service.ns, service.name, endpoints);
}

HealthChecks::HealthChecks(base::Loop& loop, const ServiceWatch& services, std::string node,
                           bool v6)
    : loop_(loop), services_(services), node_(std::move(node)), v6_(v6) {}

HealthChecks::~HealthChecks() = default;

void HealthChecks::update() {
  const auto& services = services_.state().services;
  std::erase_if(open_, [&](const auto& entry) {
    auto service = services.find(entry.first);
    return service == services.end() || service->second.health_port != entry.second.port;
  });
  std::erase_if(refused_, [&](const auto& entry) { return services.count(entry.first) == 0; });
  for (const auto& [name, service] : services) {
    if (service.health_port == 0 || open_.count(name) > 0) continue;
    auto server = std::make_unique<net::Server>(loop_);
    auto listening = server->listen(
        v6_ ? "::" : "0.0.0.0", service.health_port, std::nullopt,
        [this, name = name](const net::ExchangePtr& exchange) { answer(name, exchange); });
    if (listening.ok()) {
      open_[name] = {service.health_port, std::move(server)};
      refused_.erase(name);
    } else if (std::exchange(refused_[name], service.health_port) != service.health_port) {
      base::log(base::Level::kWarning, "proxy", "health check of service {}: {}", name.text(),
                listening.error().message);
    }
  }
}

void HealthChecks::answer(const NamespacedName& service, const net::ExchangePtr& exchange) const {
  size_t endpoints = local_endpoint_count(services_.state(), service, node_);
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("X-Content-Type-Options", "nosniff");
  headers.add("X-Load-Balancing-Endpoint-Weight", std::to_string(endpoints));
  exchange->respond(endpoints > 0 ? 200 : 503, std::move(headers),
                    health_check_body(service, endpoints));
}

}  // namespace knarr::agent
