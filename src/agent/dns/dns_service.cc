#include "agent/dns/dns_service.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kLastRetryMs = 5000;

Value dns_port(const char* name, const char* protocol) {
  return Value::object({{"name", name}, {"protocol", protocol}, {"port", 53}, {"targetPort", 53}});
}

}  // namespace

Value dns_service_object(const std::string& address) {
  Value labels = Value::object({{"k8s-app", "kube-dns"},
                                {"kubernetes.io/cluster-service", "true"},
                                {"kubernetes.io/name", "CoreDNS"}});
  return Value::object(
      {{"apiVersion", "v1"},
       {"kind", "Service"},
       {"metadata",
        Value::object(
            {{"name", "kube-dns"}, {"namespace", "kube-system"}, {"labels", std::move(labels)}})},
       {"spec", Value::object({{"type", "ClusterIP"},
                               {"clusterIP", address},
                               {"clusterIPs", Value::array({address})},
                               {"ports", Value::array({dns_port("dns", "UDP"),
                                                       dns_port("dns-tcp", "TCP")})}})}});
}

DnsServiceObject::DnsServiceObject(client::Client& client, Clock& clock, std::string address)
    : client_(client), address_(std::move(address)), retry_(clock.timer([this] { create(); })) {}

void DnsServiceObject::ensure(std::function<void()> done) {
  done_ = std::move(done);
  create();
}

void DnsServiceObject::create() {
  client::Request request;
  request.verb = client::Verb::kCreate;
  request.target = {"", "v1", "services", "kube-system", "", ""};
  request.body = json::write(dns_service_object(address_));
  client_.call(std::move(request), [this, alive = std::weak_ptr<bool>(alive_)](
                                       const Result<ObjectRef>& result) {
    if (alive.expired()) return;
    if (result.ok() || result.error().code == Code::kAlreadyExists) {
      if (done_) std::exchange(done_, {})();
      return;
    }
    base::log(base::Level::kDebug, "dns", "create service kube-dns: {}", result.error().message);
    retry_->start(retry_ms_);
    retry_ms_ = std::min(retry_ms_ * 2, kLastRetryMs);
  });
}

}  // namespace knarr::agent
