// Certificate signing requests: kubelets' own are approved when they may have them, approved ones
// of the signers that Kubernetes itself has are signed by the cluster's authority, old ones go.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/auth/signing_request.h"
#include "server/controllers/controller.h"

namespace knarr::server {

inline constexpr const char* kApiserverClientSigner = "kubernetes.io/kube-apiserver-client";
inline constexpr const char* kKubeletClientSigner = "kubernetes.io/kube-apiserver-client-kubelet";
inline constexpr const char* kKubeletServingSigner = "kubernetes.io/kubelet-serving";
inline constexpr const char* kLegacySigner = "kubernetes.io/legacy-unknown";

// Why the signer would refuse what is asked for; empty: it would not. Pure.
std::string signer_objection(const std::string& signer, const SigningRequestInfo& asked,
                             const std::vector<std::string>& usages);

// A client certificate for a node is approved when a SubjectAccessReview lets the requester create
// certificatesigningrequests/selfnodeclient (his own) or /nodeclient; a node's serving certificate
// when the node itself asks. Who asks for the name of a node that is there, with another key than
// that node's, is denied; so is the second of two machines that join under one name at once.
class CertificateApprover final : public Controller {
 public:
  // `server_names`: names and addresses of the API server, which no node may have.
  CertificateApprover(const ControllerContext& context, std::vector<std::string> server_names);
  std::vector<GroupResource> watches() const override {
    return {kSigningRequests.key(), kNodes.key()};
  }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  // Who was let in under a name whose Node is not there yet.
  struct LetIn {
    std::string key;  // its fingerprint
    int64_t until_ms = 0;
  };
  // Nobody takes the place of a node that is there, or just coming: its key is another one.
  std::string taken_objection(const SigningRequestInfo& asked) const;
  void let_in(const PassRef& pass, const json::Value& request, bool own);
  void review(const PassRef& pass, const json::Value& request, bool own, bool then_any);
  void answer(const PassRef& pass, json::Value request, const char* type, const char* reason,
              const std::string& message);

  std::vector<std::string> server_names_;
  std::map<std::string, LetIn> let_in_;  // by the node's name
};

class CertificateSigner final : public Controller {
 public:
  CertificateSigner(const ControllerContext& context, net::KeyPair ca);
  std::vector<GroupResource> watches() const override { return {kSigningRequests.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  net::KeyPair ca_;
};

// Deletes requests an hour after they were answered, a day after they were left unanswered, and
// those whose certificate has run out.
class CertificateCleaner final : public Controller {
 public:
  explicit CertificateCleaner(const ControllerContext& context);
  std::vector<GroupResource> watches() const override { return {kSigningRequests.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
};

}  // namespace knarr::server
