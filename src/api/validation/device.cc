// Devices of the dynamic resource allocation: claims and their templates, classes, slices. What
// CEL expressions say is not looked at.
#include <map>
#include <set>
#include <string>

#include "api/validation/internal.h"
#include "api/validation/rules.h"
#include "api/validation/volume_sources.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kGroup = "resource.k8s.io";
constexpr size_t kMaxItems = 32;  // of requests, constraints, configurations and selectors each
constexpr size_t kMaxAlternatives = 8;
constexpr size_t kMaxExpression = 10 * 1024;
constexpr size_t kMaxIdentifier = 32;
constexpr size_t kMaxPoolName = 253;

// Names of requests, each with those of its alternatives.
using RequestNames = std::map<std::string, std::set<std::string>, std::less<>>;
using Check = void (*)(const Value& item, const Path& path, ErrorList& errors);

// False, with the one error of it, when there are too many.
bool few_enough(const Value& list, size_t most, const Path& path, ErrorList& errors) {
  if (list.size() <= most) return true;
  errors.too_many(path, static_cast<int64_t>(list.size()), static_cast<int64_t>(most));
  return false;
}

void each(const Value& list, size_t most, const Path& path, ErrorList& errors, Check check) {
  if (!few_enough(list, most, path, errors)) return;
  for (size_t i = 0; i < list.size(); i++) check(list[i], path[i], errors);
}

// Elements whose `key` (themselves, when it is null) was there before.
void no_duplicates(const Value& list, const char* key, const Path& path, ErrorList& errors) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < list.size(); i++) {
    const Value& id = key == nullptr ? list[i] : list[i][key];
    if (!seen.insert(id.as_string()).second) errors.duplicate(path[i], id);
  }
}

void selector(const Value& selector, const Path& path, ErrorList& errors) {
  const Value& cel = selector["cel"];
  if (cel.is_null()) {
    errors.required(path / "cel");
  } else if (cel["expression"].as_string().size() > kMaxExpression) {
    errors.too_long(path / "cel" / "expression", kMaxExpression);
  }
}

void toleration(const Value& one, const Path& path, ErrorList& errors) {
  std::string_view op = one["operator"].as_string();
  const Value& key = one["key"];
  if (!key.as_string().empty()) qualified_name(key, path / "key", errors);
  if (op == "Exists") {
    if (!one["value"].as_string().empty()) {
      errors.invalid(path / "value", one["value"], "must be empty for operator `Exists`");
    }
  } else if (op == "Equal") {
    std::string_view value = one["value"].as_string();
    errors.invalid_all(path / "value", Value(value), check_label_value(value));
  } else {
    one_of(one["operator"], {"Equal", "Exists"}, path / "operator", errors);
  }
  if (!one["effect"].as_string().empty()) {
    maybe_one_of(one["effect"], {"NoExecute", "NoSchedule", "None"}, path / "effect", errors);
  }
}

void class_name(const Value& name, const Path& path, ErrorList& errors) {
  if (name.as_string().empty()) {
    errors.required(path);
  } else {
    dns_subdomain(name, path, errors);
  }
}

// What a request asks for, or one of its alternatives.
void wanted_device(const Value& wanted, const Path& path, ErrorList& errors) {
  class_name(wanted["deviceClassName"], path / "deviceClassName", errors);
  each(wanted["selectors"], kMaxItems, path / "selectors", errors, selector);
  std::string_view mode = wanted["allocationMode"].as_string();
  int64_t count = wanted["count"].as_int();
  if (mode == "All") {
    if (count != 0) {
      errors.invalid(path / "count", count, "must not be specified when allocationMode is 'All'");
    }
  } else if (mode == "ExactCount") {
    if (count <= 0) errors.invalid(path / "count", count, "must be greater than zero");
  } else {
    errors.not_supported(path / "allocationMode", Value(mode), {"All", "ExactCount"});
  }
  for (size_t i = 0; i < wanted["tolerations"].size(); i++) {
    toleration(wanted["tolerations"][i], (path / "tolerations")[i], errors);
  }
}

void alternative(const Value& one, const Path& path, ErrorList& errors) {
  dns_label(one["name"], path / "name", errors);
  wanted_device(one, path, errors);
}

void request(const Value& one, const Path& path, ErrorList& errors) {
  dns_label(one["name"], path / "name", errors);
  const Value& alternatives = one["firstAvailable"];
  bool exactly = !one["exactly"].is_null();
  if (!exactly && alternatives.size() == 0) {
    errors.required(path, "exactly one of `exactly` or `firstAvailable` is required");
  } else if (exactly && alternatives.size() > 0) {
    errors.invalid(path, Value(),
                   "exactly one of `exactly` or `firstAvailable` is required, but multiple fields "
                   "are set");
  } else if (exactly) {
    wanted_device(one["exactly"], path / "exactly", errors);
  } else {
    Path at = path / "firstAvailable";
    each(alternatives, kMaxAlternatives, at, errors, alternative);
    if (alternatives.size() <= kMaxAlternatives) no_duplicates(alternatives, "name", at, errors);
  }
}

RequestNames names_of(const Value& requests) {
  RequestNames out;
  for (const Value& one : requests.elements()) {
    std::set<std::string>& inner = out[one["name"].text()];
    for (const Value& other : one["firstAvailable"].elements()) inner.insert(other["name"].text());
  }
  return out;
}

void request_reference(const Value& name, const RequestNames& names, const Path& path,
                       ErrorList& errors) {
  constexpr std::string_view kUnknown =
      "must be the name of a request in the claim or the name of a request and a subrequest "
      "separated by '/'";
  std::string_view text = name.as_string();
  size_t slash = text.find('/');
  std::string_view head = text.substr(0, slash);
  bool nested = slash != std::string_view::npos;
  std::string_view tail = nested ? text.substr(slash + 1) : std::string_view();
  if (tail.find('/') != std::string_view::npos) return errors.invalid(path, name, kUnknown);
  dns_label(Value(head), path, errors);
  if (nested) dns_label(Value(tail), path, errors);
  auto it = names.find(head);
  bool known = it != names.end() && (!nested || it->second.count(std::string(tail)) > 0);
  if (!known) errors.invalid(path, name, kUnknown);
}

void request_references(const Value& list, const RequestNames& names, const Path& path,
                        ErrorList& errors) {
  if (!few_enough(list, kMaxItems, path, errors)) return;
  for (size_t i = 0; i < list.size(); i++) request_reference(list[i], names, path[i], errors);
  no_duplicates(list, nullptr, path, errors);
}

void identifier(std::string_view id, const Path& path, ErrorList& errors) {
  if (id.size() > kMaxIdentifier) errors.too_long(path, kMaxIdentifier);
  errors.invalid_all(path, Value(id), check_c_identifier(id));
}

// "driver.example.com/model".
void attribute_name(const Value& name, const Path& path, ErrorList& errors) {
  std::string_view text = name.as_string();
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    identifier(text, path, errors);
    errors.invalid(path, name,
                   "a fully qualified name must be a domain and a name separated by a slash");
    return;
  }
  std::string_view id = text.substr(slash + 1);
  if (id.find('/') != std::string_view::npos) return;
  if (slash == 0) {
    errors.invalid(path, "", "the domain must not be empty");
  } else {
    csi_driver_name(Value(text.substr(0, slash)), path, errors);
  }
  if (id.empty()) {
    errors.invalid(path, "", "the name must not be empty");
  } else {
    identifier(id, path, errors);
  }
}

void constraint(const Value& one, const RequestNames& names, const Path& path, ErrorList& errors) {
  request_references(one["requests"], names, path / "requests", errors);
  for (const char* key : {"matchAttribute", "distinctAttribute"}) {
    if (!one[key].is_null()) return attribute_name(one[key], path / key, errors);
  }
  errors.required(path,
                  "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but "
                  "multiple fields are set");
}

void configuration(const Value& config, const Path& path, ErrorList& errors) {
  const Value& opaque = config["opaque"];
  if (opaque.is_null()) return errors.required(path / "opaque");
  csi_driver_name(opaque["driver"], path / "opaque" / "driver", errors);
  Path at = path / "opaque" / "parameters";
  if (opaque["parameters"].is_null()) {
    errors.required(at);
  } else if (!opaque["parameters"].is_object()) {
    errors.invalid(at, "<value omitted>", "must be a valid JSON object");
  }
}

void claim_spec(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& devices = spec["devices"];
  const Value& requests = devices["requests"];
  Path at = path / "devices";
  RequestNames names = names_of(requests);
  each(requests, kMaxItems, at / "requests", errors, request);
  if (requests.size() <= kMaxItems) no_duplicates(requests, "name", at / "requests", errors);
  const Value& constraints = devices["constraints"];
  if (few_enough(constraints, kMaxItems, at / "constraints", errors)) {
    for (size_t i = 0; i < constraints.size(); i++) {
      constraint(constraints[i], names, (at / "constraints")[i], errors);
    }
  }
  const Value& configs = devices["config"];
  if (few_enough(configs, kMaxItems, at / "config", errors)) {
    for (size_t i = 0; i < configs.size(); i++) {
      Path one = (at / "config")[i];
      request_references(configs[i]["requests"], names, one / "requests", errors);
      configuration(configs[i], one, errors);
    }
  }
}

void claim(const Value& object, ErrorList& errors) {
  claim_spec(object["spec"], Path("spec"), errors);
}

void claim_template(const Value& object, ErrorList& errors) {
  Path path("spec");
  const Value& metadata = object["spec"]["metadata"];
  validate_annotations(metadata["annotations"], path / "metadata" / "annotations", errors);
  validate_labels(metadata["labels"], path / "metadata" / "labels", errors);
  claim_spec(object["spec"]["spec"], path / "spec", errors);
}

void fixed_spec(const char* type, const Value& object, const Value& old, ErrorList& errors) {
  if (same(object["spec"], old["spec"])) return;
  errors.invalid(Path("spec"), internal_value(kGroup, "v1", type, object["spec"]), kImmutable);
}

void claim_update(const Value& object, const Value& old, ErrorList& errors) {
  fixed_spec("ResourceClaimSpec", object, old, errors);
}

void claim_template_update(const Value& object, const Value& old, ErrorList& errors) {
  fixed_spec("ResourceClaimTemplateSpec", object, old, errors);
}

void device_class(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  each(spec["selectors"], kMaxItems, path / "selectors", errors, selector);
  each(spec["config"], kMaxItems, path / "config", errors, configuration);
  const Value& name = spec["extendedResourceName"];
  if (!name.is_null() && !is_extended_resource(name.as_string())) {
    errors.invalid(path / "extendedResourceName", name, "must be a valid extended resource name");
  }
}

void pool(const Value& pool, const Path& path, ErrorList& errors) {
  std::string_view name = pool["name"].as_string();
  if (name.empty()) {
    errors.required(path / "name");
  } else {
    if (name.size() > kMaxPoolName) errors.too_long(path / "name", kMaxPoolName);
    for (size_t slash = 0; slash != std::string_view::npos;) {
      slash = name.find('/');
      dns_subdomain(Value(name.substr(0, slash)), path / "name", errors);
      if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
    }
  }
  const Value& count = pool["resourceSliceCount"];
  if (count.as_int() <= 0) {
    errors.invalid(path / "resourceSliceCount", count.as_int(), "must be greater than zero");
  }
  if (pool["generation"].as_int() < 0) {
    errors.invalid(path / "generation", pool["generation"],
                   "must be greater than or equal to zero");
  }
}

// On which nodes the slice's devices are: said in exactly one way.
void slice_nodes(const Value& spec, const Path& path, ErrorList& errors) {
  std::string set;
  auto add = [&](std::string_view name) {
    set += fmt::format("{}`{}`", set.empty() ? "" : ", ", name);
  };
  if (const Value& name = spec["nodeName"]; !name.is_null()) {
    if (name.as_string().empty()) {
      errors.invalid(path / "nodeName", name, "must be either unset or set to a non-empty string");
    } else {
      add("nodeName");
      dns_subdomain(name, path / "nodeName", errors);
    }
  }
  if (const Value& chosen = spec["nodeSelector"]; !chosen.is_null()) {
    add("nodeSelector");
    node_selector(chosen, path / "nodeSelector", errors);
    const Value& terms = chosen["nodeSelectorTerms"];
    if (terms.size() != 1) {
      errors.invalid(path / "nodeSelector" / "nodeSelectorTerms", terms,
                     "must have exactly one node selector term");
    }
  }
  for (const char* key : {"allNodes", "perDeviceNodeSelection"}) {
    if (spec[key].is_null()) continue;
    if (spec[key].as_bool()) {
      add(key);
    } else {
      errors.invalid(path / key, spec[key], "must be either unset or set to true");
    }
  }
  constexpr std::string_view kOne =
      "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
  if (set.empty()) {
    errors.required(path, kOne);
  } else if (set.find(',') != std::string::npos) {
    errors.invalid(path, Value("{" + set + "}"),
                   fmt::format("{}, but multiple fields are set", kOne));
  }
}

void slice(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  csi_driver_name(spec["driver"], path / "driver", errors);
  pool(spec["pool"], path / "pool", errors);
  slice_nodes(spec, path, errors);
  const Value& devices = spec["devices"];
  for (size_t i = 0; i < devices.size(); i++) {
    dns_label(devices[i]["name"], (path / "devices")[i] / "name", errors);
  }
  no_duplicates(devices, "name", path / "devices", errors);
}

void slice_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& spec = object["spec"];
  const Value& before = old["spec"];
  Path path("spec");
  slice(object, errors);
  immutable(spec["pool"]["name"], before["pool"]["name"], path / "pool" / "name", errors);
  immutable(spec["driver"], before["driver"], path / "driver", errors);
  immutable(spec["nodeName"], before["nodeName"], path / "nodeName", errors);
}

}  // namespace

std::span<const KindRules> device_rules() {
  static constexpr KindRules kRows[] = {
      {kGroup, "DeviceClass", name_is_dns_subdomain, device_class},
      {kGroup, "ResourceClaim", name_is_dns_subdomain, claim, claim_update},
      {kGroup, "ResourceClaimTemplate", name_is_dns_subdomain, claim_template,
       claim_template_update},
      {kGroup, "ResourceSlice", name_is_dns_subdomain, slice, slice_update},
  };
  return kRows;
}

}  // namespace knarr::api::rules
