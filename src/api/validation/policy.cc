// rbac, disruption budgets, priorities, autoscalers.
#include "api/validation/autoscaler.h"
#include "api/validation/internal.h"
#include "api/validation/rules.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kRbac = "rbac.authorization.k8s.io";

void policy_rule(const Value& rule, bool namespaced, const Path& path, ErrorList& errors) {
  const Value& urls = rule["nonResourceURLs"];
  if (rule["verbs"].empty())
    errors.required(path / "verbs", "verbs must contain at least one value");
  if (!urls.empty()) {
    if (namespaced) {
      errors.invalid(path / "nonResourceURLs", urls,
                     "namespaced rules cannot apply to non-resource URLs");
    }
    bool both =
        !rule["apiGroups"].empty() || !rule["resources"].empty() || !rule["resourceNames"].empty();
    if (both) {
      errors.invalid(path / "nonResourceURLs", urls,
                     "rules cannot apply to both regular resources and non-resource URLs");
    }
    return;
  }
  if (rule["apiGroups"].empty()) {
    errors.required(path / "apiGroups", "resource rules must supply at least one api group");
  }
  if (rule["resources"].empty()) {
    errors.required(path / "resources", "resource rules must supply at least one resource");
  }
}

void role(const Value& object, ErrorList& errors) {
  size_t i = 0;
  for (const Value& rule : object["rules"].elements()) {
    policy_rule(rule, true, Path("rules")[i++], errors);
  }
}

void cluster_role(const Value& object, ErrorList& errors) {
  size_t i = 0;
  for (const Value& rule : object["rules"].elements()) {
    policy_rule(rule, false, Path("rules")[i++], errors);
  }
  const Value& aggregation = object["aggregationRule"];
  if (aggregation.is_null()) return;
  Path path = Path("aggregationRule") / "clusterRoleSelectors";
  if (aggregation["clusterRoleSelectors"].empty()) {
    errors.required(path,
                    "at least one clusterRoleSelector required if aggregationRule is non-nil");
  }
  i = 0;
  for (const Value& selector : aggregation["clusterRoleSelectors"].elements()) {
    ErrorList mine;
    label_selector(selector, path[i], mine);
    bool broken = !mine.empty();
    errors.append(std::move(mine));
    if (broken) errors.invalid(path[i], Value(), "invalid label selector.");
    i++;
  }
}

void subject(const Value& subject, bool namespaced, const Path& path, ErrorList& errors) {
  std::string_view name = subject["name"].as_string();
  std::string_view group = subject["apiGroup"].as_string();
  if (name.empty()) errors.required(path / "name");
  std::string_view kind = subject["kind"].as_string();
  if (kind == "ServiceAccount") {
    if (!name.empty()) errors.invalid_all(path / "name", name, check_dns1123_subdomain(name));
    if (!group.empty()) errors.not_supported(path / "apiGroup", group, {""});
    if (!namespaced && subject["namespace"].as_string().empty())
      errors.required(path / "namespace");
  } else if (kind == "User" || kind == "Group") {
    if (group != kRbac) errors.not_supported(path / "apiGroup", group, {kRbac});
  } else {
    errors.not_supported(path / "kind", kind, {"ServiceAccount", "User", "Group"});
  }
}

void binding(const Value& object, bool namespaced, ErrorList& errors) {
  const Value& ref = object["roleRef"];
  Path path("roleRef");
  if (ref["apiGroup"].as_string() != kRbac) {
    errors.not_supported(path / "apiGroup", ref["apiGroup"].as_string(), {kRbac});
  }
  std::string_view kind = ref["kind"].as_string();
  if (namespaced && kind != "Role" && kind != "ClusterRole") {
    errors.not_supported(path / "kind", kind, {"Role", "ClusterRole"});
  } else if (!namespaced && kind != "ClusterRole") {
    errors.not_supported(path / "kind", kind, {"ClusterRole"});
  }
  if (ref["name"].as_string().empty()) {
    errors.required(path / "name");
  } else {
    errors.invalid_all(path / "name", ref["name"], check_path_segment(ref["name"].as_string()));
  }
  size_t i = 0;
  for (const Value& one : object["subjects"].elements()) {
    subject(one, namespaced, Path("subjects")[i++], errors);
  }
}
void role_binding(const Value& object, ErrorList& errors) { binding(object, true, errors); }
void cluster_role_binding(const Value& object, ErrorList& errors) {
  binding(object, false, errors);
}

void binding_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& ref = object["roleRef"];
  if (ref == old["roleRef"]) return;
  errors.invalid(Path("roleRef"), internal_value(kRbac, "v1", "RoleRef", ref),
                 "cannot change roleRef");
}

void budget(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (!spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null()) {
    errors.invalid(path, internal_value("policy", "v1", "PodDisruptionBudgetSpec", spec),
                   "minAvailable and maxUnavailable cannot be both set");
  }
  for (const char* member : {"minAvailable", "maxUnavailable"}) {
    int_or_percent(spec[member], path / member, errors);
    not_above_all(spec[member], path / member, errors);
  }
  label_selector(spec["selector"], path / "selector", errors);
  maybe_one_of(spec["unhealthyPodEvictionPolicy"], {"AlwaysAllow", "IfHealthyBudget"},
               path / "unhealthyPodEvictionPolicy", errors);
}

void budget_status(const Value& object, const Value&, ErrorList& errors) {
  conditions(object["status"]["conditions"], Path("status") / "conditions", errors);
  for (const char* member :
       {"disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"}) {
    not_negative(object["status"][member], Path("status") / member, errors);
  }
}

struct SystemClass {
  std::string_view name;
  int64_t value;
};
constexpr SystemClass kSystemClasses[] = {{"system-node-critical", 2000001000},
                                          {"system-cluster-critical", 2000000000}};

// Why a name with the reserved prefix is refused; "" when it is one of the system's own.
std::string reserved_problem(const Value& object, std::string_view name) {
  for (const SystemClass& one : kSystemClasses) {
    if (one.name != name) continue;
    if (object["value"].as_int() != one.value) {
      return fmt::format("value of {} PriorityClass must be {}", name, one.value);
    }
    if (object["globalDefault"].as_bool()) {
      return fmt::format("globalDefault of {} PriorityClass must be false", name);
    }
    return "";
  }
  return fmt::format("{} is not a known system priority class", name);
}

void priority_class(const Value& object, ErrorList& errors) {
  constexpr int64_t kHighest = 1000000000;
  std::string_view name = object["metadata"]["name"].as_string();
  if (name.substr(0, 7) == "system-") {
    std::string problem = reserved_problem(object, name);
    if (!problem.empty()) {
      errors.forbidden(Path("metadata") / "name",
                       "priority class names with 'system-' prefix are reserved for system use "
                       "only. error: " +
                           problem);
    }
  } else if (object["value"].as_int() > kHighest) {
    errors.forbidden(Path("value"),
                     "maximum allowed value of a user defined priority is 1000000000");
  }
  const Value& policy = object["preemptionPolicy"];
  if (!policy.is_null()) {
    one_of(policy, {"PreemptLowerPriority", "Never"}, Path("preemptionPolicy"), errors);
  }
}

void priority_class_update(const Value& object, const Value& old, ErrorList& errors) {
  if (object["value"].as_int() != old["value"].as_int()) {
    errors.forbidden(Path("value"), "may not be changed in an update.");
  }
  immutable(object["preemptionPolicy"], old["preemptionPolicy"], Path("preemptionPolicy"), errors);
}

// Names here are parts of paths, also where they are still to be completed.
Problems rbac_name(std::string_view name, bool) { return check_path_segment(name); }

constexpr KindRules kRules[] = {
    {kRbac, "Role", rbac_name, role, nullptr, nullptr, nullptr, kCreateFirst},
    {kRbac, "ClusterRole", rbac_name, cluster_role, nullptr, nullptr, nullptr, kCreateFirst},
    {kRbac, "RoleBinding", rbac_name, role_binding, binding_update, nullptr, nullptr, kCreateFirst},
    {kRbac, "ClusterRoleBinding", rbac_name, cluster_role_binding, binding_update, nullptr, nullptr,
     kCreateFirst},
    {"policy", "PodDisruptionBudget", nullptr, budget, nullptr, budget_status, nullptr,
     kNoMetadata | kStatusNoMeta},
    {"scheduling.k8s.io", "PriorityClass", name_is_dns_subdomain, priority_class,
     priority_class_update, nullptr},
    {"autoscaling", "HorizontalPodAutoscaler", name_is_dns_subdomain, autoscaler, autoscaler_update,
     autoscaler_status},
};

}  // namespace

std::span<const KindRules> policy_rules() { return kRules; }

}  // namespace knarr::api::rules
