// The ways to prove who one is: a client certificate, a bearer token of the token file, a service
// account token, a bootstrap token. Who shows nothing has no user here; the front takes him for
// system:anonymous.
#pragma once

#include <memory>

#include "knarr/clock.h"
#include "server/auth/auth.h"
#include "server/auth/bootstrap_tokens.h"
#include "server/auth/service_account_tokens.h"
#include "server/auth/token_file.h"

namespace knarr::server {

// The user a certificate stands for: CN is the name, each O a group.
UserRef user_of_certificate(const net::PeerCertificate& certificate);

class RequestAuthenticator final : public Authenticator {
 public:
  // A certificate counts when the TLS layer has verified it against the cluster's authority, and as
  // long as it has not run out, however old its connection. One that does not count is an error
  // unless a token proves who asks. `static_tokens` may be null.
  RequestAuthenticator(std::unique_ptr<TokenFile> static_tokens,
                       const ServiceAccountTokens& service_accounts,
                       BootstrapTokens bootstrap_tokens, const Clock& clock);

  void authenticate(const net::Request& request, Done done) override;

 private:
  Result<UserRef> certificate(const net::Request& request) const;
  Result<UserRef> issued_token(const net::Request& request) const;

  std::unique_ptr<TokenFile> static_tokens_;
  const ServiceAccountTokens& service_accounts_;
  BootstrapTokens bootstrap_tokens_;
  const Clock& clock_;
};

}  // namespace knarr::server
