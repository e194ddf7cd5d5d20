// The authorizers in the order they are asked: members of system:masters may do everything, then
// each mode of --authorization-mode; the first that allows wins. Loop thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/auth/auth.h"
#include "server/auth/rbac.h"

namespace knarr::server {

class Cache;

enum class AuthorizationMode { kAlwaysAllow, kNode, kRbac };

// "Node,RBAC". kBadRequest names what is none.
Result<std::vector<AuthorizationMode>> parse_authorization_modes(std::string_view text);

class AuthorizerChain : public Authorizer {
 public:
  // Once, when the cache has loaded.
  virtual void start() = 0;
  // Null when RBAC is not among the modes.
  virtual RbacAuthorizer* rbac() = 0;
};

std::unique_ptr<AuthorizerChain> make_authorizers(Cache& cache,
                                                  const std::vector<AuthorizationMode>& modes);

}  // namespace knarr::server
