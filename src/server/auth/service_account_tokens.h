// Service account tokens: issued as JSON Web Tokens with the claims of a kube-apiserver, and
// verified. A token is good while its account, and the pod, secret or node it is bound to, still
// are the ones it was made for.
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "knarr/clock.h"
#include "knarr/object.h"
#include "knarr/random.h"
#include "server/auth/auth.h"
#include "server/auth/jwt.h"
#include "server/auth/token_issuer.h"

namespace knarr::server {

class ServiceAccountTokens final : public TokenIssuer {
 public:
  // The stored object of a core resource ("serviceaccounts", "pods", ...); null when there is none.
  using Lookup = std::function<ObjectRef(const std::string& resource, const std::string& ns,
                                         const std::string& name)>;
  // RSA, PEM; the first who needs the key waits for it.
  using PendingKey = std::shared_future<Result<std::string>>;
  ServiceAccountTokens(JwtKey key, std::string issuer, const Clock& clock, Random& random);
  ServiceAccountTokens(PendingKey key, std::string issuer, const Clock& clock, Random& random);
  void set_lookup(Lookup lookup) { lookup_ = std::move(lookup); }

  Result<IssuedToken> issue(const TokenSubject& subject, const std::vector<std::string>& audiences,
                            int64_t expiration_seconds) override;
  Result<std::string> issue_for_secret(const TokenSubject& subject) override;
  std::vector<std::string> audiences() const override;
  std::string openid_configuration() const override;
  std::string jwks() const override;
  Result<UserRef> verify(const std::string& token,
                         const std::vector<std::string>& audiences) const override;

 private:
  Result<UserRef> check_claims(const json::Value& claims,
                               const std::vector<std::string>& audiences) const;
  Result<void> check_bound(const json::Value& claims) const;
  bool is_over(const Object& object) const;
  Result<UserRef> check_secret(const json::Value& claims, const std::string& token,
                               const std::vector<std::string>& audiences) const;

  Result<const JwtKey*> key() const;

  mutable std::optional<JwtKey> key_;
  PendingKey pending_;  // while key_ is empty
  std::string issuer_;
  const Clock& clock_;
  Random& random_;
  Lookup lookup_;
};

}  // namespace knarr::server
