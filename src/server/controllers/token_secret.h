// Secrets of type kubernetes.io/service-account-token: filled with a token of the account they
// name, the cluster's authority and the namespace; deleted with their account.
#pragma once

#include <string>

#include "server/auth/token_issuer.h"
#include "server/controllers/controller.h"

namespace knarr::server {

class TokenSecretController final : public Controller {
 public:
  TokenSecretController(const ControllerContext& context, TokenIssuer& tokens, std::string ca_pem);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  TokenIssuer& tokens_;
  std::string ca_base64_;
};

}  // namespace knarr::server
