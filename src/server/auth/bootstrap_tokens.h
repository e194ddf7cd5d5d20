// The tokens that machines join with, as bearer tokens: those of Secrets of the type
// bootstrap.kubernetes.io/token in kube-system, and the server's own, in a Secret of knarr's. They
// let their holder ask for a certificate, and nothing else that RBAC does not grant.
//
// Ref: the format and the rules of upstream's bootstrap tokens.
#pragma once

#include <functional>
#include <string>

#include "knarr/clock.h"
#include "knarr/object.h"
#include "server/auth/auth.h"

namespace knarr::server {

inline constexpr const char* kBootstrappersGroup = "system:bootstrappers";
inline constexpr const char* kBootstrapSecretType = "bootstrap.kubernetes.io/token";

class BootstrapTokens {
 public:
  // The Secret of this name in kube-system; null when there is none.
  using Lookup = std::function<ObjectRef(const std::string& name)>;

  BootstrapTokens(Lookup lookup, const Clock& clock) : lookup_(std::move(lookup)), clock_(clock) {}

  // Null when the token is not of these.
  UserRef verify(const std::string& token) const;

 private:
  UserRef by_secret(const std::string& id, const std::string& secret) const;

  Lookup lookup_;
  const Clock& clock_;
};

}  // namespace knarr::server
