// Everyone who proved an identity may do everything; others may ask how the server is.
#pragma once

#include "server/auth/auth.h"

namespace knarr::server {

class AllowAuthenticated final : public Authorizer {
 public:
  Decision authorize(const Attributes& attributes) override {
    if (attributes.user->in_group(kAuthenticatedGroup)) return {true, ""};
    if (attributes.resource_request || attributes.verb != "get") return {false, ""};
    for (const char* path : {"/healthz", "/livez", "/readyz", "/version", "/healthz/", "/livez/",
                             "/readyz/", "/version/"}) {
      if (attributes.path == path) return {true, ""};
    }
    return {false, ""};
  }

  AccessRules rules_of(const UserRef& user, const std::string&) override {
    AccessRules all;
    if (!user->in_group(kAuthenticatedGroup)) return all;
    all.rules = {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}};
    return all;
  }
};

}  // namespace knarr::server
