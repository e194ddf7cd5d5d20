// Service account tokens as the API server hands them out (the serviceaccounts/token subresource)
// and lets others verify them (the OpenID documents). Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "knarr/result.h"

namespace knarr::server {

struct UserInfo;

// Everything a token is bound to, looked up and checked by the caller.
struct TokenSubject {
  std::string ns;
  std::string service_account;
  std::string service_account_uid;
  // The bound object, a Pod, Secret or Node of the same namespace; kind empty for none.
  std::string bound_kind;
  std::string bound_name;
  std::string bound_uid;
  // The node of a bound pod, when it has one.
  std::string node_name;
  std::string node_uid;
};

struct IssuedToken {
  std::string token;
  int64_t expires_at_seconds = 0;  // since the epoch
};

class TokenIssuer {
 public:
  virtual ~TokenIssuer() = default;

  // No audiences: the API server's own, which `audiences()` names.
  virtual Result<IssuedToken> issue(const TokenSubject& subject,
                                    const std::vector<std::string>& audiences,
                                    int64_t expiration_seconds) = 0;
  // A token of the old kind, good as long as the Secret that holds it: what the data of a Secret of
  // type kubernetes.io/service-account-token is filled with.
  virtual Result<std::string> issue_for_secret(const TokenSubject& subject) = 0;
  virtual std::vector<std::string> audiences() const = 0;

  // The user of a token for one of these audiences (none: the API server's own). Null when it is
  // not a token of this issuer; kUnauthorized when it is and is no longer good.
  virtual Result<std::shared_ptr<const UserInfo>> verify(
      const std::string& token, const std::vector<std::string>& audiences) const = 0;

  // The bodies of /.well-known/openid-configuration and /openid/v1/jwks.
  virtual std::string openid_configuration() const = 0;
  virtual std::string jwks() const = 0;
};

}  // namespace knarr::server
