// The ways to prove who one is: a client certificate, a bearer token of the token file, a service
// account token. Who shows nothing is nobody: system:anonymous is let in nowhere.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "server/auth/auth.h"
#include "server/auth/service_account_tokens.h"

namespace knarr::server {

// kube-apiserver's --token-auth-file: lines "token,user,uid[,\"group1,group2\"]". The error names
// the line.
Result<std::map<std::string, UserRef>> parse_token_file(std::string_view text);

// The user a certificate stands for: CN is the name, each O a group.
UserRef user_of_certificate(const net::PeerCertificate& certificate);

class RequestAuthenticator final : public Authenticator {
 public:
  // A certificate counts only when the TLS layer has verified it against the cluster's authority.
  RequestAuthenticator(std::map<std::string, UserRef> static_tokens,
                       const ServiceAccountTokens& service_accounts);

  void authenticate(const net::Request& request, Done done) override;

 private:
  Result<UserRef> bearer(std::string_view header) const;

  std::map<std::string, UserRef> static_tokens_;
  const ServiceAccountTokens& service_accounts_;
};

// Before RBAC: every authenticated user may do everything; nobody else may do anything.
class AuthenticatedOnly final : public Authorizer {
 public:
  Decision authorize(const Attributes& attributes) override;
};

}  // namespace knarr::server
