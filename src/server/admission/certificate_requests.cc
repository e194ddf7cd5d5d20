// CertificateApproval, CertificateSigning and CertificateSubjectRestriction: who may approve or
// sign requests for a signer, and that nobody asks for a certificate of system:masters.

#include "base/base64.h"
#include "base/format.h"
#include "server/admission/plugins.h"
#include "server/auth/signing_request.h"

namespace knarr::server {
namespace {

bool concerns(const AdmissionRequest& request, Operation operation, std::string_view subresource) {
  return request.operation == operation && request.subresource == subresource &&
         request.is("certificates.k8s.io", "certificatesigningrequests");
}

// For this signer, or for all of its domain.
bool may(Authorizer& authorizer, const AdmissionRequest& request, const char* verb,
         const std::string& signer) {
  Attributes attributes;
  attributes.user = request.user;
  attributes.verb = verb;
  attributes.resource_request = true;
  attributes.group = "certificates.k8s.io";
  attributes.version = "*";
  attributes.resource = "signers";
  attributes.name = signer;
  if (authorizer.authorize(attributes).allowed) return true;
  attributes.name = signer.substr(0, signer.find('/')) + "/*";
  return authorizer.authorize(attributes).allowed;
}

class SignerPermission final : public AdmissionPlugin {
 public:
  SignerPermission(Authorizer* authorizer, bool approves)
      : authorizer_(authorizer), approves_(approves) {}
  std::string_view name() const override {
    return approves_ ? "CertificateApproval" : "CertificateSigning";
  }

  Result<void> validate(const AdmissionRequest& request) override {
    if (authorizer_ == nullptr ||
        !concerns(request, Operation::kUpdate, approves_ ? "approval" : "status")) {
      return {};
    }
    const json::Value& before = (*request.old)["status"];
    const json::Value& after = (*request.object)["status"];
    bool signs = !(before["certificate"] == after["certificate"]) ||
                 !(before["conditions"] == after["conditions"]);
    if (!approves_ && !signs) return {};
    std::string signer = (*request.old)["spec"]["signerName"].text();
    if (may(*authorizer_, request, approves_ ? "approve" : "sign", signer)) return {};
    return admission_forbidden(
        request, fmt::format("user not permitted to {} requests with signerName \"{}\"",
                             approves_ ? "approve" : "sign", signer));
  }

 private:
  Authorizer* authorizer_;
  bool approves_;
};

class SubjectRestriction final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "CertificateSubjectRestriction"; }

  Result<void> validate(const AdmissionRequest& request) override {
    if (!concerns(request, Operation::kCreate, "")) return {};
    const json::Value& spec = (*request.object)["spec"];
    if (spec["signerName"].as_string() != "kubernetes.io/kube-apiserver-client") return {};
    auto pem = base::base64_decode(spec["request"].as_string());
    auto asked = read_signing_request(pem.ok() ? *pem : "");
    if (!asked.ok()) return admission_forbidden(request, asked.error().message);
    for (const std::string& group : asked->organizations) {
      if (group != kMastersGroup) continue;
      return admission_forbidden(request,
                                 "use of kubernetes.io/kube-apiserver-client signer with "
                                 "system:masters group is not allowed");
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_certificate_approval(const AdmissionDeps& deps) {
  return std::make_unique<SignerPermission>(deps.authorizer, true);
}

std::unique_ptr<AdmissionPlugin> make_certificate_signing(const AdmissionDeps& deps) {
  return std::make_unique<SignerPermission>(deps.authorizer, false);
}

std::unique_ptr<AdmissionPlugin> make_certificate_subject_restriction() {
  return std::make_unique<SubjectRestriction>();
}

}  // namespace knarr::server
