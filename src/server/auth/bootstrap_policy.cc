#include "server/auth/bootstrap_policy.h"

#include <algorithm>
#include <functional>

#include "knarr/check.h"
#include "server/auth/policy_rules.h"

namespace knarr::server {
namespace {

using json::Value;
using Words = std::vector<std::string>;

constexpr const char* kAutoUpdate = "rbac.authorization.kubernetes.io/autoupdate";
constexpr const char* kRbac = "rbac.authorization.k8s.io";

Words split(std::string_view text, char separator) {
  Words out;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// Lines with their continuations.
Words lines_of(std::string_view data) {
  Words out;
  for (std::string& line : split(data, '\n')) {
    if (line.starts_with("      ")) {
      bool list = out.back().ends_with(',');
      out.back() += line.substr(list ? 6 : 5);
    } else {
      out.push_back(std::move(line));
    }
  }
  return out;
}

PolicyRule rule_of(const std::string& line) {
  Words words = split(line, ' ');
  CHECK(words.size() >= 2);
  PolicyRule rule;
  rule.verbs = split(words[0], ',');
  if (words.size() == 2) {
    rule.paths = split(words[1], ',');
    return rule;
  }
  rule.groups = split(words[1], ',');
  std::replace(rule.groups.begin(), rule.groups.end(), std::string("core"), std::string());
  rule.resources = split(words[2], ',');
  if (words.size() == 5) rule.names = split(words[4], ',');
  return rule;
}

Value named(const char* kind, std::string_view where) {
  size_t slash = where.find('/');
  Value meta = Value::object();
  if (slash != std::string_view::npos) meta.set("namespace", where.substr(0, slash));
  meta.set("name", where.substr(slash == std::string_view::npos ? 0 : slash + 1));
  meta.set("labels", Value::object({{"kubernetes.io/bootstrapping", "rbac-defaults"}}));
  meta.set("annotations", Value::object({{kAutoUpdate, "true"}}));
  bool cluster = slash == std::string_view::npos;
  return Value::object({{"apiVersion", "rbac.authorization.k8s.io/v1"},
                        {"kind", cluster ? "Cluster" + std::string(kind) : std::string(kind)},
                        {"metadata", std::move(meta)}});
}

// `role` and `bind` lines begin an object, others are rules of the role.
struct Role {
  Value object;
  std::vector<PolicyRule> rules;
};

Role begin_role(const Words& words) {
  Role role{named("Role", words[1]), {}};
  for (size_t i = 2; i < words.size(); ++i) {
    std::string label = std::string(kRbac) + "/" + words[i].substr(1);
    if (words[i][0] == '+') {
      role.object.member("metadata").member("labels").set(label, "true");
    } else {
      Value selector = Value::object({{"matchLabels", Value::object({{label, "true"}})}});
      role.object.set("aggregationRule",
                      Value::object({{"clusterRoleSelectors", Value::array({selector})}}));
    }
  }
  return role;
}

Value subject_of(std::string_view word) {
  size_t colon = word.find(':');
  std::string_view kind = word.substr(0, colon);
  std::string_view name = word.substr(colon + 1);
  if (kind != "account") {
    return Value::object(
        {{"kind", kind == "user" ? "User" : "Group"}, {"apiGroup", kRbac}, {"name", name}});
  }
  size_t slash = name.find('/');
  return Value::object({{"kind", "ServiceAccount"},
                        {"namespace", name.substr(0, slash)},
                        {"name", name.substr(slash + 1)}});
}

Value binding_of(const Words& words) {
  Value binding = named("RoleBinding", words[1]);
  binding.set("roleRef",
              Value::object({{"apiGroup", kRbac}, {"kind", words[2]}, {"name", words[3]}}));
  for (size_t i = 4; i < words.size(); ++i) {
    binding.member("subjects").push_back(subject_of(words[i]));
  }
  return binding;
}

void read(const char* data, const std::function<void(Role)>& role,
          const std::function<void(Value)>& binding) {
  Role open;
  auto close = [&] {
    if (!open.object.is_null()) role(std::move(open));
    open = Role();
  };
  for (const std::string& line : lines_of(data)) {
    if (line[0] == ' ') {
      open.rules.push_back(rule_of(line));
      continue;
    }
    close();
    Words words = split(line, ' ');
    if (words[0] == "role") {
      open = begin_role(words);
    } else {
      binding(binding_of(words));
    }
  }
  close();
}

bool adds_members(Value& to, const Value& from) {
  bool changed = false;
  for (json::Member m : from.members()) {
    if (to.has(m.key)) continue;
    to.set(m.key, m.value);
    changed = true;
  }
  return changed;
}

// Elements of a list that are not there are added to it.
bool adds_elements(Value& object, const char* list, const Value& wanted) {
  bool changed = false;
  for (const Value& one : wanted.elements()) {
    const Value& there = object[list];
    auto elements = there.elements();
    if (std::find(elements.begin(), elements.end(), one) != elements.end()) continue;
    object.member(list).push_back(one);
    changed = true;
  }
  return changed;
}

}  // namespace

std::vector<BootstrapObject> bootstrap_policy(bool metrics) {
  std::vector<BootstrapObject> roles[2], bindings[2];  // of the cluster, of namespaces
  auto add_role = [&](Role role) {
    bool cluster = role.object["kind"].as_string() == "ClusterRole";
    role.object.set("rules", rules_json(role.rules));
    roles[cluster ? 0 : 1].push_back({cluster ? "clusterroles" : "roles", std::move(role.object)});
  };
  auto add_binding = [&](Value object) {
    bool cluster = object["kind"].as_string() == "ClusterRoleBinding";
    bindings[cluster ? 0 : 1].push_back(
        {cluster ? "clusterrolebindings" : "rolebindings", std::move(object)});
  };
  read(kBootstrapRoles, add_role, add_binding);
  if (metrics) read(kMetricsRoles, add_role, add_binding);
  auto with_account = [&](Role role) {
    std::string name = role.object["metadata"]["name"].text();
    std::string account = "account:kube-system/" + name.substr(name.rfind(':') + 1);
    add_role(std::move(role));
    add_binding(binding_of({"bind", name, "ClusterRole", name, account}));
  };
  read(kBootstrapControllerRoles, with_account, add_binding);
  std::vector<BootstrapObject> all;
  for (auto* part : {&roles[0], &bindings[0], &roles[1], &bindings[1]}) {
    std::move(part->begin(), part->end(), std::back_inserter(all));
  }
  return all;
}

std::vector<PolicyRule> bootstrap_rules(std::string_view cluster_role) {
  std::vector<PolicyRule> out;
  auto role = [&](Role r) {
    if (r.object["metadata"]["name"].as_string() == cluster_role) out = std::move(r.rules);
  };
  read(kBootstrapRoles, role, [](Value) {});
  return out;
}

json::Value reconciled_policy(const Value& there, const Value& wanted, bool& replace) {
  replace = false;
  if (there["metadata"]["annotations"][kAutoUpdate].as_string() == "false") return {};
  if (!(there["roleRef"] == wanted["roleRef"])) {
    replace = true;
    return wanted;
  }
  Value out = there;
  Value& meta = out.member("metadata");
  bool changed = adds_members(meta.member("annotations"), wanted["metadata"]["annotations"]);
  changed |= adds_members(meta.member("labels"), wanted["metadata"]["labels"]);
  std::vector<PolicyRule> missing =
      uncovered(read_rules(there["rules"]), read_rules(wanted["rules"]));
  if (!missing.empty()) {
    Value rules = rules_json(missing);
    for (Value& rule : rules.elements()) out.member("rules").push_back(std::move(rule));
    changed = true;
  }
  changed |= adds_elements(out, "subjects", wanted["subjects"]);
  const Value& aggregation = wanted["aggregationRule"];
  if (aggregation.is_null()) {
    changed |= out.erase("aggregationRule");
  } else {
    changed |= adds_elements(out.member("aggregationRule"), "clusterRoleSelectors",
                             aggregation["clusterRoleSelectors"]);
  }
  return changed ? out : Value();
}

}  // namespace knarr::server
