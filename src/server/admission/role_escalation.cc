// Nobody grants what they do not hold: a role's rules, and those of the role that a binding names,
// must be covered by the writer's own, unless the verb "escalate" or "bind" is theirs. Comes after
// everything that changes the object.

#include "base/format.h"
#include "server/admission/plugins.h"
#include "server/auth/policy_rules.h"

namespace knarr::server {
namespace {

constexpr const char* kGroup = "rbac.authorization.k8s.io";
constexpr const char* kAggregationRefused =
    "must have cluster-admin privileges to use the aggregationRule";

bool aggregates(const json::Value* role) {
  return role != nullptr && !(*role)["aggregationRule"]["clusterRoleSelectors"].empty();
}

// What the garbage collector and the finalizers' owners change is nobody's right.
bool changes_only_owners(const json::Value& now, const json::Value& old) {
  json::Value copy = now;
  json::Value& meta = copy.member("metadata");
  for (const char* field : {"ownerReferences", "finalizers", "managedFields"}) {
    const json::Value& before = old["metadata"][field];
    if (before.is_null()) {
      meta.erase(field);
    } else {
      meta.set(field, before);
    }
  }
  return copy == old;
}

class RoleEscalation final : public AdmissionPlugin {
 public:
  RoleEscalation(Authorizer& authorizer, RbacAuthorizer& rbac)
      : authorizer_(authorizer), rbac_(rbac) {}
  std::string_view name() const override { return "RoleEscalation"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.object == nullptr || request.resource->group != kGroup ||
        !request.subresource.empty() || request.user->in_group(kMastersGroup)) {
      return {};
    }
    if (request.old != nullptr && changes_only_owners(*request.object, *request.old)) return {};
    std::string_view plural = request.resource->plural;
    return plural == "roles" || plural == "clusterroles" ? check_role(request)
                                                         : check_binding(request);
  }

 private:
  bool may(const AdmissionRequest& request, const char* verb, std::string resource,
           std::string name) {
    Attributes a;
    a.user = request.user;
    a.verb = verb;
    a.resource_request = true;
    a.group = kGroup;
    a.version = "*";
    a.resource = std::move(resource);
    a.ns = request.ns;
    a.name = std::move(name);
    return authorizer_.authorize(a).allowed;
  }

  Result<void> check_rules(const AdmissionRequest& request, const std::vector<PolicyRule>& rules) {
    std::string why = escalation(*request.user, rbac_.rules_of(request.user, request.ns), rules);
    if (why.empty()) return {};
    return admission_forbidden(request, why);
  }

  Result<void> check_role(const AdmissionRequest& request) {
    // Who creates names nothing in the URL.
    std::string name = request.operation == Operation::kCreate ? "" : request.name;
    if (may(request, "escalate", std::string(request.resource->plural), name)) return {};
    TRY(check_rules(request, read_rules((*request.object)["rules"])));
    if (!aggregates(request.object) && !aggregates(request.old)) return {};
    std::vector<PolicyRule> everything = {{{"*"}, {"*"}, {"*"}, {}, {}},
                                          {{"*"}, {}, {}, {}, {"*"}}};
    if (check_rules(request, everything).ok()) return {};
    return admission_forbidden(request, kAggregationRefused);
  }

  Result<void> check_binding(const AdmissionRequest& request) {
    const json::Value& ref = (*request.object)["roleRef"];
    RoleRef role{ref["kind"].text(), ref["name"].text()};
    bool cluster = role.kind == "ClusterRole";
    if (!cluster && role.kind != "Role") {
      return make_error(Code::kUnknown,
                        fmt::format("unsupported role reference kind: \"{}\"", role.kind));
    }
    if (may(request, "bind", cluster ? "clusterroles" : "roles", role.name)) return {};
    TRY_ASSIGN(PolicySource::Rules rules, rbac_.role_rules(role, request.ns));
    return check_rules(request, *rules);
  }

  Authorizer& authorizer_;
  RbacAuthorizer& rbac_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_role_escalation(const AdmissionDeps& deps) {
  return std::make_unique<RoleEscalation>(*deps.authorizer, *deps.rbac);
}

}  // namespace knarr::server
