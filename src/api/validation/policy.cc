// rbac, disruption budgets, priorities, autoscalers.
#include "api/validation/rules.h"

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

void binding_update(const Value& object, const Value& old, bool namespaced, ErrorList& errors) {
  binding(object, namespaced, errors);
  const Value& ref = object["roleRef"];
  if (ref == old["roleRef"]) return;
  errors.invalid(Path("roleRef"),
                 go_struct({{"APIGroup", ref["apiGroup"].as_string()},
                            {"Kind", ref["kind"].as_string()},
                            {"Name", ref["name"].as_string()}}),
                 "cannot change roleRef");
}
void role_binding_update(const Value& object, const Value& old, ErrorList& errors) {
  binding_update(object, old, true, errors);
}
void cluster_role_binding_update(const Value& object, const Value& old, ErrorList& errors) {
  binding_update(object, old, false, errors);
}

void not_above_all(const Value& value, const Path& path, ErrorList& errors) {
  if (percent_of(value) > 100) errors.invalid(path, value, "must not be greater than 100%");
}

void budget(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (!spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null()) {
    errors.invalid(path, spec, "minAvailable and maxUnavailable cannot be both set");
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
  for (const char* member :
       {"disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"}) {
    not_negative(object["status"][member], Path("status") / member, errors);
  }
}

void priority_class(const Value& object, ErrorList& errors) {
  constexpr int64_t kHighest = 1000000000;
  std::string_view name = object["metadata"]["name"].as_string();
  bool system = name == "system-node-critical" || name == "system-cluster-critical";
  if (name.substr(0, 7) == "system-" && !system) {
    errors.forbidden(Path("metadata") / "name",
                     "priority class names with 'system-' prefix are reserved for system use only");
  } else if (object["value"].as_int() > kHighest && !system) {
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

void metric_target(const Value& target, const Path& path, ErrorList& errors) {
  std::string_view type = target["type"].as_string();
  if (type.empty()) {
    errors.required(path / "type", "must specify a metric target type");
  } else if (!contains({"Utilization", "Value", "AverageValue"}, type)) {
    errors.invalid(path / "type", type, "must be either Utilization, Value, or AverageValue");
  }
  for (const char* member : {"value", "averageValue"}) {
    const Value& value = target[member];
    if (!value.is_null() && quantity_or_zero(value.as_string()).sign() != 1) {
      errors.invalid(path / member, value, "must be positive");
    }
  }
  const Value& percent = target["averageUtilization"];
  if (!percent.is_null() && percent.as_int() < 1) {
    errors.invalid(path / "averageUtilization", percent, "must be greater than 0");
  }
}

void metric(const Value& metric, const Path& path, ErrorList& errors) {
  std::string_view type = metric["type"].as_string();
  static constexpr std::pair<std::string_view, const char*> kTypes[] = {
      {"ContainerResource", "containerResource"},
      {"External", "external"},
      {"Object", "object"},
      {"Pods", "pods"},
      {"Resource", "resource"}};
  if (type.empty()) return errors.required(path / "type", "must specify a metric source type");
  const char* member = nullptr;
  for (const auto& [name, source] : kTypes) {
    if (name == type) member = source;
  }
  if (member == nullptr) {
    errors.not_supported(path / "type", type,
                         {"ContainerResource", "External", "Object", "Pods", "Resource"});
    return;
  }
  const Value& source = metric[member];
  Path at = path / member;
  if (source.is_null()) {
    errors.required(at, "must populate information for the given metric source");
    return;
  }
  bool resource = type == "Resource" || type == "ContainerResource";
  if (resource) {
    if (source["name"].as_string().empty())
      errors.required(at / "name", "must specify a resource name");
    if (type == "ContainerResource" && source["container"].as_string().empty()) {
      errors.required(at / "container", "must specify a container");
    }
  } else if (source["metric"]["name"].as_string().empty()) {
    errors.required(at / "metric" / "name", "must specify a metric name");
  }
  metric_target(source["target"], at / "target", errors);
  const Value& target = source["target"];
  if (resource && target["averageUtilization"].is_null() && target["averageValue"].is_null()) {
    errors.required(at / "target" / "averageUtilization",
                    "must set either a target raw value or a target utilization");
  }
}

void autoscaler(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  const Value& min = spec["minReplicas"];
  if (!min.is_null() && min.as_int() < 1) {
    errors.invalid(path / "minReplicas", min, "must be greater than or equal to 1");
  }
  if (spec["maxReplicas"].as_int() < 1) {
    errors.invalid(path / "maxReplicas", spec["maxReplicas"].as_int(), "must be greater than 0");
  }
  if (!min.is_null() && spec["maxReplicas"].as_int() < min.as_int()) {
    errors.invalid(path / "maxReplicas", spec["maxReplicas"].as_int(),
                   "must be greater than or equal to `minReplicas`");
  }
  const Value& ref = spec["scaleTargetRef"];
  Path at = path / "scaleTargetRef";
  for (const char* member : {"kind", "name"}) {
    if (ref[member].as_string().empty()) {
      errors.required(at / member);
    } else {
      errors.invalid_all(at / member, ref[member], check_path_segment(ref[member].as_string()));
    }
  }
  std::string_view version = ref["apiVersion"].as_string();
  bool core = ref["kind"].as_string() == "ReplicationController";
  if (!core && version.find('/') == std::string_view::npos) {
    errors.invalid(at / "apiVersion", version, "apiVersion must specify API group");
  }
  size_t i = 0;
  for (const Value& one : spec["metrics"].elements()) metric(one, (path / "metrics")[i++], errors);
}

constexpr KindRules kRules[] = {
    {kRbac, "Role", name_is_path_segment, role, nullptr, nullptr},
    {kRbac, "ClusterRole", name_is_path_segment, cluster_role, nullptr, nullptr},
    {kRbac, "RoleBinding", name_is_path_segment, role_binding, role_binding_update, nullptr},
    {kRbac, "ClusterRoleBinding", name_is_path_segment, cluster_role_binding,
     cluster_role_binding_update, nullptr},
    {"policy", "PodDisruptionBudget", name_is_dns_subdomain, budget, nullptr, budget_status},
    {"scheduling.k8s.io", "PriorityClass", name_is_dns_subdomain, priority_class,
     priority_class_update, nullptr},
    {"autoscaling", "HorizontalPodAutoscaler", name_is_dns_subdomain, autoscaler, nullptr, nullptr},
};

}  // namespace

std::span<const KindRules> policy_rules() { return kRules; }

}  // namespace knarr::api::rules
