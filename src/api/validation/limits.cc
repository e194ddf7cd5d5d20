// Limit ranges and quotas.
#include <algorithm>
#include <set>

#include "api/validation/core.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

void type_name(const Value& type, const Path& path, ErrorList& errors) {
  std::string_view name = type.as_string();
  Problems problems = check_qualified_name(name);
  errors.invalid_all(path, name, problems);
  if (!problems.empty()) return;
  if (name.find('/') == std::string_view::npos &&
      !contains({"Pod", "Container", "PersistentVolumeClaim"}, name)) {
    errors.invalid(path, name, "must be a standard limit type or fully qualified");
  }
}

struct Amount {
  bool set = false;
  Quantity value;
  std::string text() const { return value.text(); }
  bool operator>(const Amount& other) const {
    return set && other.set && value.compare(other.value) > 0;
  }
};

Amount amount(const Value& item, const char* member, std::string_view name) {
  const Value* value = item[member].find(name);
  if (value == nullptr) return {};
  return {true, quantity_or_zero(value->as_string())};
}

void compare_limits(const Value& item, std::string_view name, const Path& path, ErrorList& errors) {
  Amount min = amount(item, "min", name);
  Amount max = amount(item, "max", name);
  Amount usual = amount(item, "default", name);
  Amount request = amount(item, "defaultRequest", name);
  Amount ratio = amount(item, "maxLimitRequestRatio", name);
  auto wrong = [&](const char* member, const Amount& shown, std::string detail) {
    errors.invalid((path / member).key(name), shown.text(), detail);
  };
  if (min > max) {
    wrong("min", min,
          fmt::format("min value {} is greater than max value {}", min.text(), max.text()));
  }
  if (min > request) {
    wrong("defaultRequest", request,
          fmt::format("min value {} is greater than default request value {}", min.text(),
                      request.text()));
  }
  if (request > max) {
    wrong("defaultRequest", request,
          fmt::format("default request value {} is greater than max value {}", request.text(),
                      max.text()));
  }
  if (request > usual) {
    wrong("defaultRequest", request,
          fmt::format("default request value {} is greater than default limit value {}",
                      request.text(), usual.text()));
  }
  if (min > usual) {
    wrong("default", min,
          fmt::format("min value {} is greater than default value {}", min.text(), usual.text()));
  }
  if (usual > max) {
    wrong("default", max,
          fmt::format("default value {} is greater than max value {}", usual.text(), max.text()));
  }
  if (ratio.set && ratio.value.compare(Quantity(1)) < 0) {
    wrong("maxLimitRequestRatio", ratio, fmt::format("ratio {} is less than 1", ratio.text()));
  }
  if (ratio.set && min.set && max.set && !min.value.is_zero()) {
    double bound = max.value.as_double() / min.value.as_double();
    if (ratio.value.as_double() > bound) {
      wrong("maxLimitRequestRatio", ratio,
            fmt::format("ratio {} is greater than max/min = {:f}", ratio.text(), bound));
    }
  }
}

bool is_quota_name(std::string_view name) {
  return name != "storage" && is_standard_resource(name);
}

bool scope_fits(std::string_view scope, std::string_view resource) {
  if (scope == "BestEffort") return resource == "pods";
  return contains(
      {"pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
       "ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage"},
      resource);
}

bool is_scope(std::string_view name) {
  return contains({"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass",
                   "CrossNamespacePodAffinity", "VolumeAttributesClass"},
                  name);
}

void scopes(const Value& spec, const Path& path, ErrorList& errors) {
  std::set<std::string_view> seen;
  for (const Value& scope : spec["scopes"].elements()) {
    std::string_view name = scope.as_string();
    if (!is_scope(name)) errors.invalid(path, spec["scopes"], "unsupported scope");
    for (auto [resource, value] : spec["hard"].members()) {
      if (is_quota_name(resource) && is_scope(name) && !scope_fits(name, resource)) {
        errors.invalid(path, spec["scopes"], "unsupported scope applied to resource");
      }
    }
    seen.insert(name);
  }
  if ((seen.count("BestEffort") && seen.count("NotBestEffort")) ||
      (seen.count("Terminating") && seen.count("NotTerminating"))) {
    errors.invalid(path, spec["scopes"], "conflicting scopes");
  }
}

void scope_selector(const Value& selector, const Path& path, ErrorList& errors) {
  Path at = path / "matchExpressions";
  for (const Value& one : selector["matchExpressions"].elements()) {
    std::string_view scope = one["scopeName"].as_string();
    std::string_view op = one["operator"].as_string();
    if (!is_scope(scope)) errors.invalid(at / "scopeName", scope, "unsupported scope");
    bool simple = scope != "PriorityClass" && scope != "VolumeAttributesClass";
    if (simple && op != "Exists") {
      errors.invalid(at / "operator", op,
                     "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                     "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                     "ResourceQuotaScopeNotBestEffort or "
                     "ResourceQuotaScopeCrossNamespacePodAffinity");
    }
    if (op == "In" || op == "NotIn") {
      if (one["values"].empty()) {
        errors.required(at / "values",
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope "
                        "selector");
      }
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!one["values"].empty()) {
        errors.invalid(at / "values", one["values"],
                       "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope "
                       "selector");
      }
    } else {
      errors.invalid(at / "operator", op, "not a valid selector operator");
    }
  }
}

}  // namespace

void limit_range(const Value& object, ErrorList& errors) {
  std::set<std::string_view> types;
  size_t i = 0;
  for (const Value& item : object["spec"]["limits"].elements()) {
    Path path = (Path("spec") / "limits")[i++];
    std::string_view type = item["type"].as_string();
    type_name(item["type"], path / "type", errors);
    if (!types.insert(type).second) errors.duplicate(path / "type", type);
    std::set<std::string> names;
    bool pod = type == "Pod";
    for (const char* member : {"max", "min", "default", "defaultRequest", "maxLimitRequestRatio"}) {
      bool defaults = std::string_view(member).substr(0, 7) == "default";
      if (pod && defaults) {
        if (!item[member].empty()) {
          errors.forbidden(path / member, "may not be specified when `type` is 'Pod'");
        }
        continue;
      }
      for (auto [name, value] : item[member].members()) {
        resource_name(name, (path / member).key(name), errors);
        names.emplace(name);
      }
    }
    if (type == "PersistentVolumeClaim" && !item["min"].has("storage") &&
        !item["max"].has("storage")) {
      errors.required(
          path / "limits",
          "either minimum or maximum storage value is required, but neither was provided");
    }
    for (const std::string& name : names) compare_limits(item, name, path, errors);
  }
}

void resource_quota(const Value& object, ErrorList& errors) {
  Path path("spec");
  for (auto [name, value] : object["spec"]["hard"].members()) {
    Path at = (path / "hard").key(name);
    resource_name(name, at, errors);
    bool plain = name.find('/') == std::string_view::npos && check_qualified_name(name).empty();
    if (plain && !is_quota_name(name)) {
      errors.invalid(at, name, "must be a standard resource for quota");
    }
    quantity_not_negative(value, at, errors);
    if (is_integer_resource(name) && !quantity_or_zero(value.as_string()).is_integer()) {
      errors.invalid(at, value, "must be an integer");
    }
  }
  scopes(object["spec"], path / "scopes", errors);
  scope_selector(object["spec"]["scopeSelector"], path / "scopeSelector", errors);
}

void resource_quota_update(const Value& object, const Value& old, ErrorList& errors) {
  resource_quota(object, errors);
  immutable(object["spec"]["scopes"], old["spec"]["scopes"], Path("spec") / "scopes", errors);
}

}  // namespace knarr::api::rules
