#include "server/auth/authorizers.h"

#include "base/format.h"
#include "server/auth/allow_authenticated.h"
#include "server/auth/cached_policy.h"
#include "server/auth/node_authorizer.h"

namespace knarr::server {
namespace {

class Chain final : public AuthorizerChain {
 public:
  Chain(Cache& cache, const std::vector<AuthorizationMode>& modes)
      : policy_(cache), rbac_(policy_) {
    for (AuthorizationMode mode : modes) {
      switch (mode) {
        case AuthorizationMode::kAlwaysAllow:
          owned_.push_back(std::make_unique<AllowAuthenticated>());
          links_.push_back(owned_.back().get());
          break;
        case AuthorizationMode::kNode:
          owned_.push_back(std::make_unique<NodeAuthorizer>(cache));
          links_.push_back(owned_.back().get());
          break;
        case AuthorizationMode::kRbac:
          with_rbac_ = true;
          links_.push_back(&rbac_);
          break;
      }
    }
  }

  void start() override {
    if (with_rbac_) policy_.start();
  }
  RbacAuthorizer* rbac() override { return with_rbac_ ? &rbac_ : nullptr; }

  Decision authorize(const Attributes& attributes) override {
    if (attributes.user->in_group(kMastersGroup)) return {true, ""};
    Decision refused;
    for (Authorizer* link : links_) {
      Decision decision = link->authorize(attributes);
      if (decision.allowed || decision.denied) return decision;
      if (decision.reason.empty()) continue;
      if (!refused.reason.empty()) refused.reason += '\n';
      refused.reason += decision.reason;
    }
    return refused;
  }

  AccessRules rules_of(const UserRef& user, const std::string& ns) override {
    AccessRules all;
    std::vector<std::string> errors;
    for (Authorizer* link : links_) {
      AccessRules some = link->rules_of(user, ns);
      all.incomplete = all.incomplete || some.incomplete;
      if (!some.error.empty()) errors.push_back(std::move(some.error));
      for (PolicyRule& rule : some.rules) all.rules.push_back(std::move(rule));
    }
    all.error = aggregate(errors);
    return all;
  }

 private:
  CachedPolicy policy_;
  RbacAuthorizer rbac_;
  bool with_rbac_ = false;
  std::vector<std::unique_ptr<Authorizer>> owned_;
  std::vector<Authorizer*> links_;
};

}  // namespace

Result<std::vector<AuthorizationMode>> parse_authorization_modes(std::string_view text) {
  std::vector<AuthorizationMode> out;
  for (;;) {
    size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    if (word == "AlwaysAllow") {
      out.push_back(AuthorizationMode::kAlwaysAllow);
    } else if (word == "Node") {
      out.push_back(AuthorizationMode::kNode);
    } else if (word == "RBAC") {
      out.push_back(AuthorizationMode::kRbac);
    } else {
      return make_error(Code::kBadRequest,
                        fmt::format("want AlwaysAllow, Node or RBAC, not \"{}\"", word));
    }
    if (comma == std::string_view::npos) return out;
    text.remove_prefix(comma + 1);
  }
}

std::unique_ptr<AuthorizerChain> make_authorizers(Cache& cache,
                                                  const std::vector<AuthorizationMode>& modes) {
  return std::make_unique<Chain>(cache, modes);
}

}  // namespace knarr::server
