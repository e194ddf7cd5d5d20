// Environment variables of containers, and what the downward API offers.
#include "api/validation/pod.h"

namespace knarr::api::rules {
namespace {

bool known_pod_field(std::string_view path) {
  return contains({"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                   "metadata.uid", "spec.nodeName", "spec.host", "spec.restartPolicy",
                   "spec.serviceAccountName", "spec.schedulerName", "status.phase", "status.hostIP",
                   "status.hostIPs", "status.podIP", "status.podIPs"},
                  path);
}

void key_selector(const Value& ref, const Path& path, ErrorList& errors) {
  dns_subdomain(ref["name"], path / "name", errors);
  std::string_view key = ref["key"].as_string();
  if (key.empty()) {
    errors.required(path / "key");
  } else {
    errors.invalid_all(path / "key", key, check_config_map_key(key));
  }
}

void value_from(const Value& variable, const Path& path, ErrorList& errors) {
  const Value& from = variable["valueFrom"];
  if (from.is_null()) return;
  int sources = 0;
  if (!from["fieldRef"].is_null()) {
    sources++;
    object_field_selector(from["fieldRef"], false, path / "fieldRef", errors);
  }
  if (!from["resourceFieldRef"].is_null()) {
    sources++;
    resource_field_selector(from["resourceFieldRef"], false, path / "resourceFieldRef", errors);
  }
  for (const char* member : {"configMapKeyRef", "secretKeyRef"}) {
    if (from[member].is_null()) continue;
    sources++;
    key_selector(from[member], path / member, errors);
  }
  if (!from["fileKeyRef"].is_null()) sources++;
  if (sources == 0) {
    errors.invalid(path, "",
                   "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
                   "`secretKeyRef` or `fileKeyRef`");
  }
  if (!variable["value"].as_string().empty()) {
    if (sources != 0) errors.invalid(path, "", "may not be specified when `value` is not empty");
  } else if (sources > 1) {
    errors.invalid(path, "", "may not have more than one field specified at a time");
  }
}

}  // namespace

void object_field_selector(const Value& selector, bool volume, const Path& path,
                           ErrorList& errors) {
  if (selector["apiVersion"].as_string().empty()) return errors.required(path / "apiVersion");
  std::string_view field = selector["fieldPath"].as_string();
  if (field.empty()) return errors.required(path / "fieldPath");
  std::string_view base = field;
  std::string subscript;
  size_t open = field.find("['");
  bool subscripted = open != std::string_view::npos && field.size() > open + 4 &&
                     field.substr(field.size() - 2) == "']";
  if (subscripted) {
    base = field.substr(0, open);
    subscript = field.substr(open + 2, field.size() - open - 4);
  }
  if (!known_pod_field(base)) {
    errors.invalid(path / "fieldPath", field,
                   "error converting fieldPath: field label not supported: " + std::string(field));
    return;
  }
  if (subscripted) {
    if (base == "metadata.annotations") {
      for (char& c : subscript) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    } else if (base != "metadata.labels") {
      return errors.invalid(path, base, "does not support subscript");
    }
    return qualified_name(subscript, path, errors);
  }
  if (volume) {
    maybe_one_of(base,
                 {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
                  "metadata.uid"},
                 path / "fieldPath", errors);
  } else {
    maybe_one_of(base,
                 {"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                  "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
                  "status.podIPs"},
                 path / "fieldPath", errors);
  }
}

void resource_field_selector(const Value& selector, bool volume, const Path& path,
                             ErrorList& errors) {
  std::string_view resource = selector["resource"].as_string();
  if (volume && selector["containerName"].as_string().empty()) {
    return errors.required(path / "containerName");
  }
  if (resource.empty()) return errors.required(path / "resource");
  bool huge_pages = resource.substr(0, 17) == "limits.hugepages-" ||
                    resource.substr(0, 19) == "requests.hugepages-";
  if (!huge_pages) {
    maybe_one_of(resource,
                 {"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                  "requests.ephemeral-storage", "requests.memory"},
                 path / "resource", errors);
  }
  const Value& divisor = selector["divisor"];
  bool cpu = resource == "limits.cpu" || resource == "requests.cpu";
  if (divisor.is_null() || !cpu) return;
  std::string text = quantity_or_zero(divisor.as_string()).text();
  if (!contains({"0", "1", "1m"}, text)) {
    errors.invalid(path / "divisor", "cpu",
                   "only divisor's values 1m and 1 are supported with the cpu resource");
  }
}

void environment(const Value& env, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& variable : env.elements()) {
    Path at = path[i++];
    std::string_view name = variable["name"].as_string();
    if (name.empty()) {
      errors.required(at / "name");
    } else {
      errors.invalid_all(at / "name", name, check_env_var_name(name));
    }
    value_from(variable, at / "valueFrom", errors);
  }
}

void environment_from(const Value& sources, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& source : sources.elements()) {
    Path at = path[i++];
    std::string_view prefix = source["prefix"].as_string();
    if (!prefix.empty()) errors.invalid_all(at / "prefix", prefix, check_env_var_name(prefix));
    int count = 0;
    for (const char* member : {"configMapRef", "secretRef"}) {
      if (source[member].is_null()) continue;
      count++;
      dns_subdomain(source[member]["name"], at / member / "name", errors);
    }
    if (count == 0) {
      errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (count > 1) {
      errors.invalid(path, "", "may not have more than one field specified at a time");
    }
  }
}

}  // namespace knarr::api::rules
