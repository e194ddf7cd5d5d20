// Horizontal pod autoscalers, in the words of autoscaling/v2.
#include "api/validation/autoscaler.h"

#include "base/format.h"

namespace knarr::api::rules {
namespace {

void path_segment(const Value& value, const Path& path, ErrorList& errors) {
  errors.invalid_all(path, value, check_path_segment(value.as_string()));
}

// What is wrong with an apiVersion; "" when nothing is.
std::string version_problem(std::string_view version, bool core_allowed) {
  size_t slash = version.find('/');
  if (slash != std::string_view::npos && version.find('/', slash + 1) != std::string_view::npos) {
    return "unexpected GroupVersion string: " + std::string(version);
  }
  bool core = slash == std::string_view::npos || slash == 0;
  return core && !core_allowed ? "apiVersion must specify API group" : "";
}

void reference(const Value& ref, bool core_allowed, bool any_version, const Path& path,
               ErrorList& errors) {
  for (const char* member : {"kind", "name"}) {
    if (ref[member].as_string().empty()) {
      errors.required(path / member);
    } else {
      path_segment(ref[member], path / member, errors);
    }
  }
  if (any_version) return;
  std::string_view version = ref["apiVersion"].as_string();
  std::string problem = version_problem(version, core_allowed);
  if (!problem.empty()) errors.invalid(path / "apiVersion", version, problem);
}

void identifier(const Value& metric, const Path& path, ErrorList& errors) {
  if (metric["name"].as_string().empty()) {
    errors.required(path / "name", "must specify a metric name");
  } else {
    path_segment(metric["name"], path / "name", errors);
  }
}

void target(const Value& target, const Path& path, ErrorList& errors) {
  std::string_view type = target["type"].as_string();
  if (type.empty()) errors.required(path / "type", "must specify a metric target type");
  if (!contains({"Utilization", "Value", "AverageValue"}, type)) {
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

void object_source(const Value& source, const Path& path, ErrorList& errors) {
  reference(source["describedObject"], true, false, path / "describedObject", errors);
  identifier(source["metric"], path / "metric", errors);
  target(source["target"], path / "target", errors);
  if (source["target"]["value"].is_null() && source["target"]["averageValue"].is_null()) {
    errors.required(path / "target" / "averageValue",
                    "must set either a target value or averageValue");
  }
}

void external_source(const Value& source, const Path& path, ErrorList& errors) {
  identifier(source["metric"], path / "metric", errors);
  target(source["target"], path / "target", errors);
  bool value = !source["target"]["value"].is_null();
  bool average = !source["target"]["averageValue"].is_null();
  if (!value && !average) {
    errors.required(path / "target" / "averageValue",
                    "must set either a target value for metric or a per-pod target");
  }
  if (value && average) {
    errors.forbidden(path / "target" / "value",
                     "may not set both a target value for metric and a per-pod target");
  }
}

void pods_source(const Value& source, const Path& path, ErrorList& errors) {
  identifier(source["metric"], path / "metric", errors);
  target(source["target"], path / "target", errors);
  if (source["target"]["averageValue"].is_null()) {
    errors.required(path / "target" / "averageValue",
                    "must specify a positive target averageValue");
  }
}

void resource_target(const Value& source, const Path& path, ErrorList& errors) {
  target(source["target"], path / "target", errors);
  bool percent = !source["target"]["averageUtilization"].is_null();
  bool value = !source["target"]["averageValue"].is_null();
  if (!percent && !value) {
    errors.required(path / "target" / "averageUtilization",
                    "must set either a target raw value or a target utilization");
  }
  if (percent && value) {
    errors.forbidden(path / "target" / "averageValue",
                     "may not set both a target raw value and a target utilization");
  }
}

void resource_source(const Value& source, const Path& path, ErrorList& errors) {
  if (source["name"].as_string().empty()) {
    errors.required(path / "name", "must specify a resource name");
  }
  resource_target(source, path, errors);
}

void container_source(const Value& source, const Path& path, ErrorList& errors) {
  if (source["name"].as_string().empty()) {
    errors.required(path / "name", "must specify a resource name");
  } else {
    container_resource_name(source["name"].as_string(), path / "name", errors);
  }
  if (source["container"].as_string().empty()) {
    errors.required(path / "container", "must specify a container");
  } else {
    dns_label(source["container"], path / "container", errors);
  }
  resource_target(source, path, errors);
}

struct Source {
  std::string_view type;
  const char* member;
  void (*check)(const Value& source, const Path& path, ErrorList& errors);
};
// In the order in which upstream looks at them.
constexpr Source kSources[] = {{"Object", "object", object_source},
                               {"External", "external", external_source},
                               {"Pods", "pods", pods_source},
                               {"Resource", "resource", resource_source},
                               {"ContainerResource", "containerResource", container_source}};

void unknown_type(std::string_view type, const Path& path, ErrorList& errors) {
  errors.not_supported(path / "type", type,
                       {"ContainerResource", "External", "Object", "Pods", "Resource"});
}

void metric(const Value& metric, const Path& path, ErrorList& errors) {
  std::string_view type = metric["type"].as_string();
  if (type.empty()) errors.required(path / "type", "must specify a metric source type");
  const Source* wanted = nullptr;
  for (const Source& source : kSources) {
    if (source.type == type) wanted = &source;
  }
  if (wanted == nullptr) unknown_type(type, path, errors);
  int count = 0;
  for (const Source& source : kSources) {
    const Value& value = metric[source.member];
    if (!value.is_null() && count++ == 0) source.check(value, path / source.member, errors);
  }
  if (wanted == nullptr) {
    unknown_type(type, path, errors);
  } else if (metric[wanted->member].is_null()) {
    errors.required(path / wanted->member, "must populate information for the given metric source");
  }
  if (count == 1) return;
  for (const Source& source : kSources) {
    if (&source != wanted && !metric[source.member].is_null()) {
      errors.forbidden(path / source.member, "must populate the given metric source only");
    }
  }
}

void scaling_policy(const Value& policy, const Path& path, ErrorList& errors) {
  if (!contains({"Percent", "Pods"}, policy["type"].as_string())) {
    errors.not_supported(path / "type", policy["type"].as_string(), {"Percent", "Pods"});
  }
  for (const char* member : {"value", "periodSeconds"}) {
    if (policy[member].as_int() <= 0) {
      errors.invalid(path / member, policy[member].as_int(), "must be greater than zero");
    }
  }
  if (policy["periodSeconds"].as_int() > 1800) {
    errors.invalid(path / "periodSeconds", policy["periodSeconds"],
                   "must be less than or equal to 1800");
  }
}

void scaling_rules(const Value& rules, const Path& path, ErrorList& errors) {
  if (rules.is_null()) return;
  const Value& window = rules["stabilizationWindowSeconds"];
  if (window.as_int() < 0) {
    errors.invalid(path / "stabilizationWindowSeconds", window,
                   "must be greater than or equal to zero");
  }
  if (window.as_int() > 3600) {
    errors.invalid(path / "stabilizationWindowSeconds", window,
                   "must be less than or equal to 3600");
  }
  maybe_one_of(rules["selectPolicy"], {"Disabled", "Max", "Min"}, path / "selectPolicy", errors);
  if (rules["policies"].empty()) {
    errors.required(path / "policies", "must specify at least one Policy");
  }
  size_t i = 0;
  for (const Value& one : rules["policies"].elements()) {
    scaling_policy(one, (path / "policies")[i++], errors);
  }
  if (!rules["tolerance"].is_null()) {
    quantity_not_negative(rules["tolerance"], path / "tolerance", errors);
  }
}

void autoscaler_spec(const Value& spec, const Value& old, ErrorList& errors) {
  Path path("spec");
  const Value& min = spec["minReplicas"];
  int64_t max = spec["maxReplicas"].as_int();
  const Value& had = old["minReplicas"];
  int64_t lowest = had.is_integer() && had.as_int() == 0 ? 0 : 1;
  if (!min.is_null() && min.as_int() < lowest) {
    errors.invalid(path / "minReplicas", min,
                   fmt::format("must be greater than or equal to {}", lowest));
  }
  if (max == 0) {
    errors.required(path / "maxReplicas", "must be set and greater than 0");
  } else if (max < 0) {
    errors.invalid(path / "maxReplicas", max, "must be greater than or equal to 1");
  }
  if (!min.is_null() && max < min.as_int()) {
    errors.invalid(path / "maxReplicas", max, "must be greater than or equal to `minReplicas`");
  }
  const Value& ref = spec["scaleTargetRef"];
  const Value& before = old["scaleTargetRef"];
  bool same_kind = !old.is_null() && same(ref["apiVersion"], before["apiVersion"]) &&
                   same(ref["kind"], before["kind"]);
  reference(ref, ref["kind"].as_string() == "ReplicationController", same_kind,
            path / "scaleTargetRef", errors);
  bool outside = false;
  size_t i = 0;
  for (const Value& one : spec["metrics"].elements()) {
    metric(one, (path / "metrics")[i++], errors);
    outside |= contains({"Object", "External"}, one["type"].as_string());
  }
  if (!min.is_null() && min.as_int() == 0 && !outside) {
    errors.forbidden(path / "metrics",
                     "must specify at least one Object or External metric to support scaling to "
                     "zero replicas");
  }
  for (const char* member : {"scaleUp", "scaleDown"}) {
    scaling_rules(spec["behavior"][member], path / "behavior" / member, errors);
  }
}

}  // namespace

void autoscaler(const Value& object, ErrorList& errors) {
  autoscaler_spec(object["spec"], Value(), errors);
}

void autoscaler_update(const Value& object, const Value& old, ErrorList& errors) {
  autoscaler_spec(object["spec"], old["spec"], errors);
}

void autoscaler_status(const Value& object, const Value&, ErrorList& errors) {
  for (const char* member : {"currentReplicas", "desiredReplicas"}) {
    not_negative(object["status"][member], Path("status") / member, errors);
  }
}

}  // namespace knarr::api::rules
