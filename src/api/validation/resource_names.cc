// Names of resources, as containers, quotas and limits may have them.
#include "api/validation/rules.h"

namespace knarr::api::rules {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool is_quota_huge_page(std::string_view name) {
  return is_huge_page(name) || starts_with(name, "requests.hugepages-");
}

}  // namespace

bool is_huge_page(std::string_view name) { return starts_with(name, "hugepages-"); }

bool is_quota_resource(std::string_view name) {
  return is_quota_huge_page(name) ||
         contains({"cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
                   "requests.storage", "requests.ephemeral-storage", "limits.cpu", "limits.memory",
                   "limits.ephemeral-storage", "pods", "resourcequotas", "services",
                   "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps",
                   "services.nodeports", "services.loadbalancers"},
                  name);
}

bool is_standard_resource(std::string_view name) {
  return name == "storage" || is_quota_resource(name);
}

bool is_native_resource(std::string_view name) {
  return name.find('/') == std::string_view::npos ||
         name.find("kubernetes.io/") != std::string_view::npos;
}

bool is_extended_resource(std::string_view name) {
  return !is_native_resource(name) && !starts_with(name, "requests.") &&
         is_qualified_name("requests." + std::string(name));
}

bool is_integer_resource(std::string_view name) {
  bool counted = contains(
      {"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
       "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"},
      name);
  return counted || is_extended_resource(name);
}

void resource_name(std::string_view name, const Path& path, ErrorList& errors) {
  Problems problems = check_qualified_name(name);
  errors.invalid_all(path, name, problems);
  if (!problems.empty()) return;
  if (name.find('/') == std::string_view::npos && !is_standard_resource(name)) {
    errors.invalid(path, name, "must be a standard resource type or fully qualified");
  }
}

void container_resource_name(std::string_view name, const Path& path, ErrorList& errors) {
  resource_name(name, path, errors);
  if (name.find('/') == std::string_view::npos) {
    if (!is_huge_page(name) && !contains({"cpu", "memory", "ephemeral-storage"}, name)) {
      errors.invalid(path, name, "must be a standard resource for containers");
    }
  } else if (!is_native_resource(name) && !is_extended_resource(name)) {
    errors.invalid(path, name, "doesn't follow extended resource name standard");
  }
}

}  // namespace knarr::api::rules
