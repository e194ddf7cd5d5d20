// The core group: config maps, secrets, namespaces, nodes, service accounts, limits and quotas.
// Pods and services have files of their own.
#include "api/validation/core.h"

#include <algorithm>
#include <set>

#include "api/validation/pod_object.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

// Bytes that base64 text stands for.
size_t decoded_size(std::string_view text) {
  size_t padding = 0;
  while (padding < text.size() && text[text.size() - 1 - padding] == '=') padding++;
  return text.size() / 4 * 3 - std::min<size_t>(padding, text.size());
}

constexpr size_t kMaxBytes = 1024 * 1024;

void config_map(const Value& object, ErrorList& errors) {
  size_t total = 0;
  for (auto [key, value] : object["data"].members()) {
    errors.invalid_all(Path("data").key(key), key, check_config_map_key(key));
    if (object["binaryData"].has(key)) {
      errors.invalid(Path("data").key(key), key, "duplicate of key present in binaryData");
    }
    total += value.as_string().size();
  }
  for (auto [key, value] : object["binaryData"].members()) {
    errors.invalid_all(Path("binaryData").key(key), key, check_config_map_key(key));
    total += decoded_size(value.as_string());
  }
  if (total > kMaxBytes) errors.too_long(Path(""), kMaxBytes);
}

void frozen(const Value& object, const Value& old, std::initializer_list<const char*> members,
            ErrorList& errors) {
  if (!old["immutable"].as_bool()) return;
  constexpr std::string_view kFrozen = "field is immutable when `immutable` is set";
  if (!object["immutable"].as_bool()) errors.forbidden(Path("immutable"), kFrozen);
  for (const char* member : members) {
    if (!same(object[member], old[member])) errors.forbidden(Path(member), kFrozen);
  }
}

void config_map_update(const Value& object, const Value& old, ErrorList& errors) {
  frozen(object, old, {"data", "binaryData"}, errors);
}

void secret(const Value& object, ErrorList& errors) {
  const Value& data = object["data"];
  size_t total = 0;
  for (auto [key, value] : data.members()) {
    errors.invalid_all(Path("data").key(key), key, check_config_map_key(key));
    total += decoded_size(value.as_string());
  }
  if (total > kMaxBytes) errors.too_long(Path("data"), kMaxBytes);
  secret_type(object, errors);
}

void secret_update(const Value& object, const Value& old, ErrorList& errors) {
  immutable(object["type"], old["type"], Path("type"), errors);
  frozen(object, old, {"data"}, errors);
}

void namespace_spec(const Value& object, ErrorList& errors) {
  for (const Value& finalizer : object["spec"]["finalizers"].elements()) {
    namespace_finalizer(finalizer, Path("spec") / "finalizers", errors);
  }
}

void namespace_status(const Value& object, const Value&, ErrorList& errors) {
  std::string_view phase = object["status"]["phase"].as_string();
  bool deleting = !object["metadata"]["deletionTimestamp"].is_null();
  if (!deleting && phase != "Active") {
    errors.invalid(Path("status") / "Phase", phase,
                   "may only be 'Active' if `deletionTimestamp` is empty");
  }
  if (deleting && phase != "Terminating") {
    errors.invalid(Path("status") / "Phase", phase,
                   "may only be 'Terminating' if `deletionTimestamp` is not empty");
  }
}

constexpr KindRules kRules[] = {
    {"", "Pod", name_is_dns_subdomain, pod_create, pod_update, pod_status_update},
    {"", "ConfigMap", name_is_dns_subdomain, config_map, config_map_update, nullptr, nullptr,
     kCreateLast},
    {"", "Secret", name_is_dns_subdomain, secret, secret_update, nullptr, nullptr, kCreateLast},
    {"", "Namespace", name_is_dns_label, namespace_spec, nullptr, namespace_status, nullptr,
     kCreateFirst},
    {"", "ServiceAccount", name_is_dns_subdomain, nullptr, nullptr, nullptr, nullptr, kCreateLast},
    {"", "Node", name_is_dns_subdomain, node, node_update, node_update, nullptr, kCreateFirst},
    {"", "LimitRange", name_is_dns_subdomain, limit_range, nullptr, nullptr, nullptr,
     kCreateFirst | kNoMetaUpdate},
    {"", "ResourceQuota", name_is_dns_subdomain, resource_quota, resource_quota_update,
     resource_quota_status},
    {"", "Event", nullptr, event, event_update, nullptr, nullptr, kNoMetadata},
    {"events.k8s.io", "Event", nullptr, strict_event, strict_event_update, nullptr, nullptr,
     kNoMetadata},
    {"", "PodTemplate", name_is_dns_subdomain, pod_template_object, nullptr, nullptr},
};

}  // namespace

void pod_template_object(const Value& object, ErrorList& errors) {
  pod_template(object["template"], Path("template"), errors);
}

void namespace_finalizer(const Value& finalizer, const Path& path, ErrorList& errors) {
  std::string_view name = finalizer.as_string();
  errors.invalid_all(path, name, check_qualified_name(name));
  if (name.find('/') == std::string_view::npos &&
      !contains({"kubernetes", "orphan", "foregroundDeletion"}, name)) {
    errors.invalid(path, name,
                   "name is neither a standard finalizer name nor is it fully qualified");
  }
}

std::span<const KindRules> core_rules() { return kRules; }

}  // namespace knarr::api::rules
