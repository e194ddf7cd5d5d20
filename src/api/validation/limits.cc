// Limit ranges and quotas.
#include <algorithm>
#include <set>

#include "api/validation/core.h"
#include "api/validation/internal.h"
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
  bool overcommits = is_native_resource(name) && !is_huge_page(name);
  if (!overcommits && usual.set && request.set && usual.value.compare(request.value) != 0) {
    wrong("defaultRequest", request,
          fmt::format("default value {} must equal to defaultRequest value {} in {}", usual.text(),
                      request.text(), name));
  }
}

bool scope_fits(std::string_view scope, std::string_view resource) {
  if (scope == "BestEffort") return resource == "pods";
  if (scope == "VolumeAttributesClass") {
    return contains({"persistentvolumeclaims", "requests.storage"}, resource);
  }
  if (!contains({"Terminating", "NotTerminating", "NotBestEffort", "PriorityClass",
                 "CrossNamespacePodAffinity"},
                scope)) {
    return true;
  }
  return contains(
      {"pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"},
      resource);
}

bool is_scope(std::string_view name) {
  return contains({"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass",
                   "CrossNamespacePodAffinity", "VolumeAttributesClass"},
                  name);
}

// How many of the limited resources a scope has no say over.
size_t unfit(const Value& spec, std::string_view scope) {
  size_t n = 0;
  for (auto [resource, value] : spec["hard"].members()) {
    n += is_quota_resource(resource) && !scope_fits(scope, resource) ? 1 : 0;
  }
  return n;
}

using Scopes = std::set<std::string_view>;

void no_conflict(const Scopes& seen, const Value& spec, const Path& path, ErrorList& errors) {
  for (auto [a, b] :
       {std::pair{"BestEffort", "NotBestEffort"}, std::pair{"Terminating", "NotTerminating"}}) {
    if (seen.count(a) && seen.count(b)) errors.invalid(path, spec["scopes"], "conflicting scopes");
  }
}

void scopes(const Value& spec, const Path& path, ErrorList& errors) {
  Scopes seen;
  for (const Value& scope : spec["scopes"].elements()) {
    std::string_view name = scope.as_string();
    if (!is_scope(name)) errors.invalid(path, spec["scopes"], "unsupported scope");
    for (size_t n = unfit(spec, name); n > 0; n--) {
      errors.invalid(path, spec["scopes"], "unsupported scope applied to resource");
    }
    seen.insert(name);
  }
  no_conflict(seen, spec, path, errors);
}

void scope_selector(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& selector = spec["scopeSelector"];
  Path at = path / "matchExpressions";
  Scopes seen;
  for (const Value& one : selector["matchExpressions"].elements()) {
    std::string_view scope = one["scopeName"].as_string();
    std::string_view op = one["operator"].as_string();
    if (!is_scope(scope)) errors.invalid(at / "scopeName", scope, "unsupported scope");
    for (size_t n = unfit(spec, scope); n > 0; n--) {
      errors.invalid(at, internal_value("", "v1", "ScopeSelector", selector),
                     "unsupported scope applied to resource");
    }
    seen.insert(scope);
    bool simple = is_scope(scope) && scope != "PriorityClass" && scope != "VolumeAttributesClass";
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
  no_conflict(seen, spec, at, errors);
}

}  // namespace

namespace {

void limit_resource_name(std::string_view type, std::string_view name, const Path& path,
                         ErrorList& errors) {
  if (type == "Pod" || type == "Container") {
    container_resource_name(name, path, errors);
  } else {
    resource_name(name, path, errors);
  }
}

void claim_limits(const Value& item, const Path& path, ErrorList& errors) {
  if (item["type"].as_string() == "PersistentVolumeClaim" && !item["min"].has("storage") &&
      !item["max"].has("storage")) {
    errors.required(
        path / "limits",
        "either minimum or maximum storage value is required, but neither was provided");
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
      if (std::string_view(member) == "maxLimitRequestRatio") claim_limits(item, path, errors);
      bool defaults = std::string_view(member).substr(0, 7) == "default";
      if (pod && defaults) {
        if (!item[member].empty()) {
          errors.forbidden(path / member, "may not be specified when `type` is 'Pod'");
        }
        continue;
      }
      for (auto [name, value] : item[member].members()) {
        limit_resource_name(type, name, (path / member).key(name), errors);
        names.emplace(name);
      }
    }
    for (const std::string& name : names) compare_limits(item, name, path, errors);
  }
}

namespace {

void quota_amounts(const Value& list, const Path& path, ErrorList& errors) {
  for (auto [name, value] : list.members()) {
    Path at = path.key(name);
    resource_name(name, at, errors);
    if (name.find('/') == std::string_view::npos && !is_quota_resource(name)) {
      errors.invalid(at, name, "must be a standard resource for quota");
    }
    resource_quantity(name, value, at, errors);
  }
}

void quota_status(const Value& status, ErrorList& errors) {
  for (const char* member : {"hard", "used"}) {
    quota_amounts(status[member], Path("status") / member, errors);
  }
}

void quota_spec(const Value& object, ErrorList& errors) {
  Path path("spec");
  quota_amounts(object["spec"]["hard"], path / "hard", errors);
  scopes(object["spec"], path / "scopes", errors);
  scope_selector(object["spec"], path / "scopeSelector", errors);
}

}  // namespace

void resource_quota(const Value& object, ErrorList& errors) {
  quota_spec(object, errors);
  quota_status(object["status"], errors);
}

void resource_quota_update(const Value& object, const Value& old, ErrorList& errors) {
  quota_spec(object, errors);
  const Value& now = object["spec"]["scopes"];
  auto set_of = [](const Value& list) {
    std::set<std::string_view> out;
    for (const Value& one : list.elements()) out.insert(one.as_string());
    return out;
  };
  if (set_of(now) != set_of(old["spec"]["scopes"])) {
    errors.invalid(Path("spec") / "scopes", now, kImmutable);
  }
}

void resource_quota_status(const Value& object, const Value&, ErrorList& errors) {
  quota_status(object["status"], errors);
}

}  // namespace knarr::api::rules
