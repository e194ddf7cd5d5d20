// Environment variables of containers, and what the downward API offers.
#include "api/validation/pod.h"
#include "api/validation/volume_sources.h"
#include "base/format.h"

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

void file_key_selector(const Value& ref, const Path& path, ErrorList& errors) {
  std::string_view key = ref["key"].as_string();
  if (key.empty()) {
    errors.required(path / "key");
  } else {
    errors.invalid_all(path / "key", key, check_env_var_name(key));
  }
  if (ref["volumeName"].as_string().empty()) {
    errors.required(path / "volumeName");
  } else {
    dns_label(ref["volumeName"], path / "volumeName", errors);
  }
  std::string_view file = ref["path"].as_string();
  if (file.empty()) return errors.required(path / "path");
  no_backsteps(file, path / "path", errors);
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
  if (!from["fileKeyRef"].is_null()) {
    sources++;
    file_key_selector(from["fileKeyRef"], path / "fileKeyRef", errors);
  }
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

void divisor(std::string_view resource, const Quantity& quantity, const Path& path,
             ErrorList& errors) {
  if (quantity.is_zero()) return;
  std::string text = quantity.text();
  std::string_view what = resource.substr(resource.find('.') + 1);
  if (what == "cpu") {
    if (text == "1" || text == "1m") return;
    errors.invalid(path, resource,
                   "only divisor's values 1m and 1 are supported with the cpu resource");
    return;
  }
  const char* shown = what == "memory"              ? "memory"
                      : what == "ephemeral-storage" ? "local ephemeral storage"
                      : is_huge_page(what)          ? "hugepages"
                                                    : nullptr;
  bool good = contains(
      {"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}, text);
  if (shown == nullptr || good) return;
  errors.invalid(path, resource,
                 fmt::format("only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, "
                             "1Pi, 1Ei are supported with the {} resource",
                             shown));
}

}  // namespace

void object_field_selector(const Value& selector, bool volume, const Path& path,
                           ErrorList& errors) {
  std::string_view version = selector["apiVersion"].as_string();
  if (version.empty()) return errors.required(path / "apiVersion");
  std::string_view field = selector["fieldPath"].as_string();
  if (field.empty()) return errors.required(path / "fieldPath");
  auto refuse = [&](std::string_view why, std::string_view what) {
    errors.invalid(path / "fieldPath", field,
                   fmt::format("error converting fieldPath: {}: {}", why, what));
  };
  if (version != "v1") return refuse("unsupported pod version", version);
  size_t open = field.find("['");
  bool subscripted = open != std::string_view::npos && open > 0 && field.size() >= open + 4 &&
                     field.substr(field.size() - 2) == "']";
  if (subscripted) {
    std::string_view base = field.substr(0, open);
    std::string key(field.substr(open + 2, field.size() - open - 4));
    if (base == "metadata.annotations") {
      for (char& c : key) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    } else if (base != "metadata.labels") {
      return refuse("field label does not support subscript", field);
    }
    return qualified_name(key, path, errors);
  }
  if (!known_pod_field(field)) return refuse("field label not supported", field);
  std::string_view base = field == "spec.host" ? "spec.nodeName" : field;
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
  bool huge_pages = resource.substr(0, 17) == "limits.hugepages-" ||
                    resource.substr(0, 19) == "requests.hugepages-";
  if (volume && selector["containerName"].as_string().empty()) {
    errors.required(path / "containerName");
  } else if (resource.empty()) {
    errors.required(path / "resource");
  } else if (!huge_pages) {
    maybe_one_of(resource,
                 {"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                  "requests.ephemeral-storage", "requests.memory"},
                 path / "resource", errors);
  }
  if (!selector["divisor"].is_null()) {
    divisor(resource, quantity_or_zero(selector["divisor"].as_string()), path / "divisor", errors);
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
