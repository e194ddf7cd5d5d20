#include "agent/join/certificate_order.h"

#include "api/view/meta.h"
#include "base/base64.h"
#include "base/format.h"
#include "base/log.h"
#include "knarr/names.h"

namespace knarr::agent {

namespace {

constexpr int64_t kPatienceMs = 10000;
constexpr int64_t kLimitMs = 600000;
constexpr const char* kGroup = "certificates.k8s.io";
constexpr const char* kResource = "certificatesigningrequests";

CertificateWanted node_certificate(const std::string& node_name) {
  CertificateWanted wanted;
  wanted.request.common_name = kNodeUserPrefix + node_name;
  wanted.request.organizations = {kNodeUsersGroup};
  return wanted;
}

json::Value request_object(const CertificateWanted& wanted, const std::string& pem) {
  json::Value usages = json::Value::array();
  for (const std::string& usage : wanted.usages) usages.push_back(usage);
  return json::Value::object({{"apiVersion", std::string(kGroup) + "/v1"},
                              {"kind", "CertificateSigningRequest"},
                              {"metadata", json::Value::object({{"generateName", "csr-"}})},
                              {"spec", json::Value::object({{"request", base::base64_encode(pem)},
                                                            {"signerName", wanted.signer},
                                                            {"usages", std::move(usages)}})}});
}

}  // namespace

CertificateWanted node_client_certificate(const std::string& node_name) {
  CertificateWanted wanted = node_certificate(node_name);
  wanted.signer = kNodeSigner;
  wanted.request.organizations.push_back(kNodesGroup);
  wanted.usages = {"digital signature", "client auth"};
  return wanted;
}

CertificateWanted node_serving_certificate(const std::string& node_name,
                                           const std::vector<std::string>& addresses) {
  CertificateWanted wanted = node_certificate(node_name);
  wanted.signer = "kubernetes.io/kubelet-serving";
  wanted.usages = {"digital signature", "server auth"};
  wanted.request.dns_names = {node_name};
  wanted.request.ip_addresses = addresses;
  return wanted;
}

CertificateOrder::CertificateOrder(Clock& clock, client::Client& client, const std::string& key_pem,
                                   const CertificateWanted& wanted, Done done)
    : client_(client),
      done_(std::move(done)),
      patience_(clock.timer([this] {
        base::log(base::Level::kWarning, "join",
                  "still waiting: `kubectl certificate approve {}` lets this node in", name_);
      })),
      limit_(clock.timer([this] {
        finish(make_error(Code::kTimeout, "the signing request was not answered: another is made"));
      })) {
  limit_->start(kLimitMs);
  auto pem = net::make_signing_request(key_pem, wanted.request);
  client::Request create;
  create.verb = client::Verb::kCreate;
  create.target = {kGroup, "v1", kResource, "", "", ""};
  if (pem.ok()) create.body = json::write(request_object(wanted, *pem));
  auto answered = [this, alive = std::weak_ptr<bool>(alive_)](Result<ObjectRef> made) {
    if (alive.expired()) return;
    if (!made.ok()) return finish(made.error());
    created(*made);
  };
  if (!pem.ok()) {
    clock.defer([answered, error = pem.error()] { answered(error); });
    return;
  }
  client_.call(std::move(create), answered);
}

CertificateOrder::~CertificateOrder() = default;

void CertificateOrder::created(const ObjectRef& request) {
  name_ = request->name.name;
  patience_->start(kPatienceMs);
  watch_ = client_.watch({kGroup, "v1", kResource, "", "", "metadata.name=" + name_}, *this);
}

void CertificateOrder::on_upsert(const ObjectRef& object) {
  seen_ = true;
  json::Value request = api::decode(*object);
  const json::Value& status = request["status"];
  for (const json::Value& c : status["conditions"].elements()) {
    std::string_view type = c["type"].as_string();
    if (type == "Denied") {
      denied_ = true;
      return finish(make_error(Code::kForbidden, c["message"].text()));
    }
    if (type == "Failed") {
      return finish(make_error(Code::kInternalError, "signing failed: " + c["message"].text()));
    }
  }
  if (status["certificate"].as_string().empty()) return;
  finish(base::base64_decode(status["certificate"].as_string()));
}

void CertificateOrder::on_delete(const ObjectRef&) {
  finish(make_error(Code::kServiceUnavailable, "the signing request was deleted"));
}

// It may have gone before the watch began; its end is told to nobody then.
void CertificateOrder::on_synced() {
  if (!seen_) finish(make_error(Code::kServiceUnavailable, "the signing request is gone"));
}

void CertificateOrder::finish(Result<std::string> result) {
  patience_->stop();
  limit_->stop();
  Done done = std::exchange(done_, nullptr);
  if (done) done(std::move(result));
}

}  // namespace knarr::agent
