#include "server/auth/rbac.h"

#include <algorithm>
#include <string_view>

#include "base/format.h"
#include "server/auth/policy_rules.h"

namespace knarr::server {
namespace {

bool is_account(std::string_view user, std::string_view ns, std::string_view name) {
  constexpr std::string_view kPrefix = "system:serviceaccount:";
  return user.size() == kPrefix.size() + ns.size() + 1 + name.size() && user.starts_with(kPrefix) &&
         user.substr(kPrefix.size(), ns.size()) == ns && user[kPrefix.size() + ns.size()] == ':' &&
         user.ends_with(name);
}

bool means(const Subject& subject, const std::string& binding_ns, const UserInfo& user) {
  switch (subject.kind) {
    case Subject::Kind::kUser: return user.name == subject.name;
    case Subject::Kind::kGroup: return user.in_group(subject.name);
    case Subject::Kind::kServiceAccount: {
      const std::string& ns = subject.ns.empty() ? binding_ns : subject.ns;
      return !ns.empty() && is_account(user.name, ns, subject.name);
    }
    case Subject::Kind::kOther: return false;
  }
  return false;
}

std::string told(const Binding& binding, const Subject& subject) {
  std::string who;
  switch (subject.kind) {
    case Subject::Kind::kUser: who = fmt::format("User \"{}\"", subject.name); break;
    case Subject::Kind::kGroup: who = fmt::format("Group \"{}\"", subject.name); break;
    default:
      who = fmt::format("ServiceAccount \"{}/{}\"", subject.name,
                        subject.ns.empty() ? binding.ns : subject.ns);
  }
  bool cluster = binding.ns.empty();
  return fmt::format("{} \"{}\" of {} \"{}\" to {}", cluster ? "ClusterRoleBinding" : "RoleBinding",
                     cluster ? binding.name : binding.name + "/" + binding.ns, binding.role.kind,
                     binding.role.name, who);
}

}  // namespace

std::string aggregate(const std::vector<std::string>& errors) {
  std::vector<std::string> once;
  for (const std::string& e : errors) {
    if (std::find(once.begin(), once.end(), e) == once.end()) once.push_back(e);
  }
  std::string out;
  for (const std::string& e : once) out += (out.empty() ? "" : ", ") + e;
  return once.size() > 1 ? "[" + out + "]" : out;
}

Binding read_binding(const json::Value& object) {
  Binding out;
  out.ns = object["metadata"]["namespace"].text();
  out.name = object["metadata"]["name"].text();
  out.role = {object["roleRef"]["kind"].text(), object["roleRef"]["name"].text()};
  for (const json::Value& s : object["subjects"].elements()) {
    std::string_view kind = s["kind"].as_string();
    Subject subject;
    subject.kind = kind == "User"             ? Subject::Kind::kUser
                   : kind == "Group"          ? Subject::Kind::kGroup
                   : kind == "ServiceAccount" ? Subject::Kind::kServiceAccount
                                              : Subject::Kind::kOther;
    subject.ns = s["namespace"].text();
    subject.name = s["name"].text();
    out.subjects.push_back(std::move(subject));
  }
  return out;
}

Result<PolicySource::Rules> RbacAuthorizer::role_rules(const RoleRef& role,
                                                       const std::string& ns) const {
  if (PolicySource::Rules rules = source_.rules(role, ns)) return rules;
  auto details = std::make_shared<ErrorDetails>();
  details->group = "rbac.authorization.k8s.io";
  details->kind = role.kind == "ClusterRole" ? "clusterrole" : "role";
  details->name = role.name;
  return Error{Code::kNotFound,
               fmt::format("{}.{} \"{}\" not found", details->kind, details->group, role.name),
               details};
}

void RbacAuthorizer::visit(const UserInfo& user, const std::string& ns, Visitor& visitor) const {
  bool going = true;
  auto each = [&](const Binding& binding) {
    auto subject = std::find_if(binding.subjects.begin(), binding.subjects.end(),
                                [&](const Subject& s) { return means(s, binding.ns, user); });
    if (subject == binding.subjects.end()) return true;
    Result<PolicySource::Rules> rules = role_rules(binding.role, binding.ns);
    if (!rules.ok()) {
      visitor.errors.push_back(rules.error().message);
      return true;
    }
    for (const PolicyRule& rule : **rules) {
      going = visitor.rule(binding, *subject, rule);
      if (!going) return false;
    }
    return true;
  };
  source_.visit_bindings("", each);
  if (going && !ns.empty()) source_.visit_bindings(ns, each);
}

Decision RbacAuthorizer::authorize(const Attributes& attributes) {
  Decision decision;
  Visitor visitor;
  visitor.rule = [&](const Binding& binding, const Subject& subject, const PolicyRule& rule) {
    if (!rule_allows(rule, attributes)) return true;
    decision = {true, "RBAC: allowed by " + told(binding, subject)};
    return false;
  };
  visit(*attributes.user, attributes.ns, visitor);
  if (!decision.allowed && !visitor.errors.empty()) {
    decision.reason = "RBAC: " + aggregate(visitor.errors);
  }
  return decision;
}

AccessRules RbacAuthorizer::rules_of(const UserRef& user, const std::string& ns) {
  AccessRules out;
  Visitor visitor;
  visitor.rule = [&out](const Binding&, const Subject&, const PolicyRule& rule) {
    out.rules.push_back(rule);
    return true;
  };
  visit(*user, ns, visitor);
  out.error = aggregate(visitor.errors);
  return out;
}

}  // namespace knarr::server
