// Role based access control (rbac.authorization.k8s.io): what roles and their bindings allow.
// Rights only add up; what no rule allows is refused. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/auth/auth.h"

namespace knarr::server {

struct Subject {
  enum class Kind { kUser, kGroup, kServiceAccount, kOther };
  Kind kind = Kind::kOther;
  std::string ns;  // of a service account; empty: that of the binding
  std::string name;
};

struct RoleRef {
  std::string kind;  // "Role", "ClusterRole"
  std::string name;
};

struct Binding {
  std::string ns;  // empty: a ClusterRoleBinding
  std::string name;
  RoleRef role;
  std::vector<Subject> subjects;
};

// A RoleBinding or ClusterRoleBinding.
Binding read_binding(const json::Value& object);

// Errors as Go prints an aggregate of them: each once.
std::string aggregate(const std::vector<std::string>& errors);

// What the decision reads.
class PolicySource {
 public:
  using Rules = std::shared_ptr<const std::vector<PolicyRule>>;

  virtual ~PolicySource() = default;
  // The bindings of a namespace ("": of the cluster), by name; `visit` returns false to stop.
  virtual void visit_bindings(const std::string& ns,
                              const std::function<bool(const Binding&)>& visit) const = 0;
  // Of a binding in this namespace; null when there is no such role.
  virtual Rules rules(const RoleRef& role, const std::string& ns) const = 0;
};

class RbacAuthorizer final : public Authorizer {
 public:
  explicit RbacAuthorizer(const PolicySource& source) : source_(source) {}

  Decision authorize(const Attributes& attributes) override;
  AccessRules rules_of(const UserRef& user, const std::string& ns) override;
  // kNotFound when the role is not there.
  Result<PolicySource::Rules> role_rules(const RoleRef& role, const std::string& ns) const;

 private:
  // Every rule that applies to somebody, and every error on the way; false stops.
  struct Visitor {
    std::function<bool(const Binding&, const Subject&, const PolicyRule&)> rule;
    std::vector<std::string> errors;
  };
  void visit(const UserInfo& user, const std::string& ns, Visitor& visitor) const;

  const PolicySource& source_;
};

}  // namespace knarr::server
