// decode_body: which kind a request body is, whether the endpoint takes it, and the messages of
// kube-apiserver for each way in which that fails.
#include <algorithm>

#include "api/codec/decode.h"
#include "api/codec/decoder.h"
#include "api/codec/encode.h"
#include "api/codec/json_scan.h"
#include "api/codec/scalars.h"
#include "api/codec/yaml.h"
#include "api/codec/zero.h"
#include "api/resource.h"

namespace knarr::api {

namespace {

struct KindInBody {
  std::string api_version;
  std::string kind;
};

// How upstream shows the start of a body it can't make sense of.
std::string summary(std::string_view body) {
  static constexpr char kHex[] = "0123456789abcdef";
  constexpr size_t kShown = 30;
  if (body.empty()) return "<empty>";
  std::string out;
  std::string_view head = body.substr(0, kShown);
  if (body[0] == '{') {
    out = head;
  } else {
    for (char c : head) {
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[c & 15];
    }
  }
  if (body.size() > kShown) out += " ...";
  return out;
}

Error unrecognized(const DecodeOptions& expected, const std::string& why, std::string_view body) {
  return unrecognized_body(expected.kind, why, body);
}

Error parse_error(const DecodeOptions& expected, const std::string& why, std::string_view body) {
  return unrecognized(expected, "couldn't get version/kind; json parse error: " + why, body);
}

// "array", "string", ... as Go names the JSON value that starts with this byte.
const char* json_word(char c) {
  switch (c) {
    case '{': return "object";
    case '[': return "array";
    case '"': return "string";
    case 't':
    case 'f': return "bool";
    default: return "number";
  }
}

// apiVersion and kind of the top-level object `json`; an error text when one is no string.
KindInBody read_kind(std::string_view json, size_t at, std::string& error) {
  KindInBody found;
  auto skip_space = [&] {
    while (at < json.size() && is_json_space(json[at])) at++;
  };
  at++;
  for (skip_space(); json[at] == '"'; skip_space()) {
    size_t key = at;
    at = skip_json_value(json, at);
    std::string_view name = json.substr(key + 1, at - key - 2);
    std::string* target = name == "kind"         ? &found.kind
                          : name == "apiVersion" ? &found.api_version
                                                 : nullptr;
    skip_space();
    at++;
    skip_space();
    size_t value = at;
    at = skip_json_value(json, at);
    if (target != nullptr && json[value] == '"') {
      *target = unescape_json_string(json.substr(value + 1, at - value - 2));
    } else if (target != nullptr && json[value] != 'n' && error.empty()) {
      error = std::string("json: cannot unmarshal ") + json_word(json[value]) +
              " into Go struct field ." + std::string(name) + " of type string";
    }
    skip_space();
    if (json[at] != ',') break;
    at++;
  }
  return found;
}

Result<KindInBody> find_kind_in(const DecodeOptions& expected, std::string_view json,
                                std::string_view body) {
  if (auto valid = check_json(json); !valid.ok()) {
    return parse_error(expected, valid.error().message, body);
  }
  size_t start = json.find_first_not_of(" \t\r\n");
  if (json[start] == 'n') return KindInBody{};
  if (json[start] != '{') {
    return parse_error(expected,
                       std::string("json: cannot unmarshal ") + json_word(json[start]) +
                           " into Go value of type struct { APIVersion string "
                           "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                           "\"json:\\\"kind,omitempty\\\"\" }",
                       body);
  }
  std::string error;
  KindInBody found = read_kind(json, start, error);
  if (!error.empty()) return parse_error(expected, error, body);
  return found;
}

// Kinds that upstream still knows in versions it no longer serves: their bodies are refused for the
// version, not for the kind.
bool known_in_old_version(std::string_view group, std::string_view version, std::string_view kind) {
  struct Old {
    std::string_view group;
    std::string_view version;
    std::string_view kinds;
  };
  static constexpr Old kOld[] = {
      {"admissionregistration.k8s.io", "v1beta1",
       "|MutatingWebhookConfiguration|ValidatingAdmissionPolicy|ValidatingAdmissionPolicyBinding|"
       "ValidatingWebhookConfiguration|MutatingAdmissionPolicy|MutatingAdmissionPolicyBinding|"},
      {"apiextensions.k8s.io", "v1beta1", "|CustomResourceDefinition|"},
      {"apiregistration.k8s.io", "v1beta1", "|APIService|"},
      {"apps", "v1beta1", "|ControllerRevision|Deployment|Scale|StatefulSet|"},
      {"apps", "v1beta2", "|ControllerRevision|DaemonSet|Deployment|ReplicaSet|Scale|StatefulSet|"},
      {"autoscaling", "v2beta1", "|HorizontalPodAutoscaler|"},
      {"autoscaling", "v2beta2", "|HorizontalPodAutoscaler|"},
      {"batch", "v1beta1", "|CronJob|"},
      {"certificates.k8s.io", "v1beta1", "|CertificateSigningRequest|"},
      {"coordination.k8s.io", "v1beta1", "|Lease|"},
      {"discovery.k8s.io", "v1beta1", "|EndpointSlice|"},
      {"events.k8s.io", "v1beta1", "|Event|"},
      {"extensions", "v1beta1", "|DaemonSet|Deployment|Ingress|NetworkPolicy|ReplicaSet|Scale|"},
      {"flowcontrol.apiserver.k8s.io", "v1beta3", "|FlowSchema|PriorityLevelConfiguration|"},
      {"networking.k8s.io", "v1beta1", "|Ingress|IngressClass|IPAddress|ServiceCIDR|"},
      {"node.k8s.io", "v1beta1", "|RuntimeClass|"},
      {"policy", "v1beta1", "|Eviction|PodDisruptionBudget|"},
      {"rbac.authorization.k8s.io", "v1beta1", "|ClusterRole|ClusterRoleBinding|Role|RoleBinding|"},
      {"resource.k8s.io", "v1beta1",
       "|DeviceClass|ResourceClaim|ResourceClaimTemplate|ResourceSlice|"},
      {"resource.k8s.io", "v1beta2",
       "|DeviceClass|ResourceClaim|ResourceClaimTemplate|ResourceSlice|"},
      {"scheduling.k8s.io", "v1beta1", "|PriorityClass|"},
      {"storage.k8s.io", "v1beta1", "|CSIDriver|CSINode|StorageClass|VolumeAttachment|"},
  };
  std::string wanted = "|" + std::string(kind) + "|";
  return std::any_of(std::begin(kOld), std::end(kOld), [&](const Old& old) {
    return old.group == group && old.version == version &&
           old.kinds.find(wanted) != std::string_view::npos;
  });
}

bool is_kind(const Type* type) {
  return type != nullptr && type->field_count > 0 && type->field_rows[0].is(Field::kTypeMeta);
}

// The Go package of a group's internal types: "networking" of "networking.k8s.io".
std::string_view internal_package(std::string_view group) {
  if (group.empty() || group == "events.k8s.io") return "core";
  return group.substr(0, group.find('.'));
}

// What upstream calls the registry of types that serves a group.
std::string_view scheme_of(std::string_view group) {
  if (group == "apiextensions.k8s.io") {
    return "k8s.io/apiextensions-apiserver/pkg/apiserver/apiserver.go:55";
  }
  if (group == "apiregistration.k8s.io") {
    return "k8s.io/kube-aggregator/pkg/apiserver/scheme/scheme.go:28";
  }
  return "pkg/api/legacyscheme/scheme.go:30";
}

struct Kind {
  std::string_view group;
  std::string_view version;
  std::string_view kind;
  const Type* type = nullptr;
};

std::string api_version_of(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

Error cannot_handle(const Kind& actual, const DecodeOptions& expected, const std::string& why) {
  return make_error(Code::kBadRequest,
                    std::string(actual.kind) + " in version \"" + std::string(actual.version) +
                        "\" cannot be handled as a " + std::string(expected.kind) + ": " + why);
}

// The kind to decode as, from what the body says and what the endpoint expects.
Result<Kind> resolve(const DecodeOptions& expected, const KindInBody& found,
                     std::string_view body) {
  Kind actual{expected.group, expected.version, expected.kind, expected.type};
  if (!found.kind.empty()) actual.kind = found.kind;
  if (!found.api_version.empty() && found.api_version != "/" &&
      !split_api_version(found.api_version, actual.group, actual.version)) {
    return unrecognized(expected, "unexpected GroupVersion string: " + found.api_version, body);
  }
  bool same_version = actual.group == expected.group && actual.version == expected.version;
  if (same_version && actual.kind == expected.kind) {
    if (actual.type == nullptr) {
      actual.type = find_type(actual.group, actual.version, actual.kind);
    }
    return actual;
  }
  actual.type = find_type(actual.group, actual.version, actual.kind);
  if (!is_kind(actual.type) && actual.version == "v1") {
    actual.type = find_type("meta.k8s.io", "v1", actual.kind);
  }
  if (!is_kind(actual.type)) {
    if (actual.kind == expected.kind &&
        known_in_old_version(actual.group, actual.version, actual.kind)) {
      return make_error(Code::kBadRequest, "the API version in the data (" +
                                               api_version_of(actual.group, actual.version) +
                                               ") does not match the expected API version (" +
                                               api_version_of(expected.group, expected.version) +
                                               ")");
    }
    return cannot_handle(actual, expected,
                         "no kind \"" + std::string(actual.kind) +
                             "\" is registered for version \"" +
                             api_version_of(actual.group, actual.version) + "\" in scheme \"" +
                             std::string(scheme_of(expected.group)) + "\"");
  }
  return actual;
}

Result<void> check_expected(const DecodeOptions& expected, const Kind& actual) {
  bool meta = actual.type != nullptr && std::string_view(actual.type->group) == "meta.k8s.io";
  if (actual.kind != expected.kind) {
    return cannot_handle(actual, expected,
                         "converting (" + std::string(actual.version) + "." +
                             std::string(actual.kind) + ") to (" +
                             std::string(internal_package(expected.group)) + "." +
                             std::string(expected.kind) + "): unknown conversion");
  }
  if (!meta && (actual.group != expected.group || actual.version != expected.version)) {
    return make_error(Code::kBadRequest, "the API version in the data (" +
                                             api_version_of(actual.group, actual.version) +
                                             ") does not match the expected API version (" +
                                             api_version_of(expected.group, expected.version) +
                                             ")");
  }
  return {};
}

std::string yaml_strict_text(const std::vector<std::string>& duplicates) {
  std::string text = "yaml: unmarshal errors:";
  for (const std::string& duplicate : duplicates) text += "\n  " + duplicate;
  return text;
}

}  // namespace

Error unrecognized_body(std::string_view kind, std::string_view why, std::string_view body) {
  return make_error(Code::kBadRequest, "the object provided is unrecognized (must be of type " +
                                           std::string(kind) + "): " + std::string(why) + " (" +
                                           summary(body) + ")");
}

Result<Decoded> decode_body(const DecodeOptions& expected, std::string_view body) {
  std::string converted;
  std::vector<std::string> duplicates;
  std::string_view json = body;
  if (expected.media == Media::kYaml) {
    auto document = parse_yaml(body);
    if (!document.ok()) return unrecognized(expected, document.error().message, body);
    append_any_json(converted, document->value);
    duplicates = std::move(document->duplicate_keys);
    json = converted;
  }
  TRY_ASSIGN(KindInBody found, find_kind_in(expected, json, body));
  TRY_ASSIGN(Kind actual, resolve(expected, found, body));
  if (actual.type == nullptr) {
    return make_error(Code::kInternalError, "no schema for " + std::string(actual.kind));
  }

  Decoder decoder(json);
  Decoded out;
  decoder.decode(*actual.type, out.value);
  if (!decoder.error().empty()) return cannot_handle(actual, expected, decoder.error());
  std::vector<std::string> strict = decoder.take_strict_errors();
  if (expected.validation == FieldValidation::kStrict && (!strict.empty() || !duplicates.empty())) {
    if (!duplicates.empty()) strict.insert(strict.begin(), yaml_strict_text(duplicates));
    return cannot_handle(actual, expected, strict_error_text(strict));
  }
  if (expected.validation == FieldValidation::kWarn) {
    out.strict_errors = std::move(duplicates);
    out.strict_errors.insert(out.strict_errors.end(), strict.begin(), strict.end());
  }
  TRY(check_expected(expected, actual));
  if (!out.value.is_object()) out.value = zero_element(*actual.type);
  if (is_kind(actual.type)) {
    out.value.set("kind", actual.kind);
    out.value.set("apiVersion", api_version_of(actual.group, actual.version));
  }
  return out;
}

}  // namespace knarr::api
