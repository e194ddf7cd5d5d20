// What extends or runs the cluster: definitions, aggregated APIs, certificates, leases, flow
// control, runtime classes.
#include <algorithm>
#include <set>

#include "api/ip.h"
#include "api/validation/flow_control.h"
#include "api/validation/internal.h"
#include "api/validation/rules.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

void definition_names(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& names = spec["names"];
  Path at = path / "names";
  auto label = [&](const Value& value, const Path& where) {
    errors.invalid_all(where, value.as_string(), check_dns1035_label(value.as_string()));
  };
  auto mixed_case = [&](const Value& value, const Path& where) {
    std::string text = value.text();
    for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    for (const std::string& problem : check_dns1035_label(text)) {
      errors.invalid(where, value, "may have mixed case, but should otherwise match: " + problem);
    }
  };
  if (!names["plural"].as_string().empty()) label(names["plural"], at / "plural");
  if (!names["singular"].as_string().empty()) label(names["singular"], at / "singular");
  if (!names["kind"].as_string().empty()) mixed_case(names["kind"], at / "kind");
  for (const char* list : {"shortNames", "categories"}) {
    size_t i = 0;
    for (const Value& one : names[list].elements()) label(one, (at / list)[i++]);
  }
  if (!names["listKind"].as_string().empty()) mixed_case(names["listKind"], at / "listKind");
  if (!names["kind"].as_string().empty() && names["kind"] == names["listKind"]) {
    errors.invalid(at / "listKind", names["listKind"], "kind and listKind may not be the same");
  }
}

void definition_versions(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& versions = spec["versions"];
  std::set<std::string_view> seen;
  int stored = 0;
  size_t i = 0;
  for (const Value& version : versions.elements()) {
    Path at = (path / "versions")[i++];
    stored += version["storage"].as_bool() ? 1 : 0;
    if (!seen.insert(version["name"].as_string()).second) {
      errors.invalid(path / "versions", versions, "must contain unique version names");
    }
    errors.invalid_all(at / "name", version["name"],
                       check_dns1035_label(version["name"].as_string()));
    if (version["schema"]["openAPIV3Schema"].is_null()) {
      errors.required(at / "schema" / "openAPIV3Schema", "schemas are required");
    }
  }
  if (stored != 1) {
    errors.invalid(path / "versions", versions.is_null() ? Value::array() : versions,
                   "must have exactly one version marked as storage version");
  }
}

void definition_name(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  std::string name = spec["names"]["plural"].text() + "." + spec["group"].text();
  if (object["metadata"]["name"].as_string() != name) {
    errors.invalid(Path("metadata") / "name", object["metadata"]["name"],
                   "must be spec.names.plural+\".\"+spec.group");
  }
}

void definition(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  std::string_view group = spec["group"].as_string();
  if (group.empty()) {
    errors.required(path / "group");
  } else {
    dns_subdomain(group, path / "group", errors);
    if (group.find('.') == std::string_view::npos) {
      errors.invalid(path / "group", group, "should be a domain with at least one dot");
    }
  }
  one_of(spec["scope"], {"Cluster", "Namespaced"}, path / "scope", errors);
  definition_versions(spec, path, errors);
  if (spec["names"]["plural"].as_string().empty()) errors.required(path / "names" / "plural");
  if (spec["names"]["kind"].as_string().empty()) errors.required(path / "names" / "kind");
  definition_names(spec, path, errors);
  if (object["status"]["storedVersions"].empty() && spec["versions"].empty()) {
    errors.invalid(Path("status") / "storedVersions", Value(),
                   "must have at least one stored version");
  }
}

void definition_update(const Value& object, const Value& old, ErrorList& errors) {
  definition(object, errors);
  Path path("spec");
  immutable(object["spec"]["group"], old["spec"]["group"], path / "group", errors);
  for (const char* member : {"plural"}) {
    immutable(object["spec"]["names"][member], old["spec"]["names"][member],
              path / "names" / member, errors);
  }
  bool established = false;
  for (const Value& condition : old["status"]["conditions"].elements()) {
    established |=
        condition["type"].as_string() == "Established" && condition["status"].as_string() == "True";
  }
  if (!established) return;
  immutable(object["spec"]["scope"], old["spec"]["scope"], path / "scope", errors);
  immutable(object["spec"]["names"]["kind"], old["spec"]["names"]["kind"], path / "names" / "kind",
            errors);
}

void api_service_name(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  std::string name = spec["version"].text() + "." + spec["group"].text();
  if (object["metadata"]["name"].as_string() != name) {
    errors.invalid(Path("metadata") / "name", object["metadata"]["name"],
                   "must be `spec.version+\".\"+spec.group`: " + go_quote(name));
  }
}

void api_service(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  std::string_view group = spec["group"].as_string();
  if (group.empty() && spec["version"].as_string() != "v1") {
    errors.required(path / "group", "only v1 may have an empty group and it better be legacy kube");
  }
  if (!group.empty()) dns_subdomain(group, path / "group", errors);
  errors.invalid_all(path / "version", spec["version"].as_string(),
                     check_dns1035_label(spec["version"].as_string()));
  int64_t group_priority = spec["groupPriorityMinimum"].as_int();
  if (group_priority <= 0 || group_priority > 20000) {
    errors.invalid(path / "groupPriorityMinimum", group_priority,
                   "must be positive and less than 20000");
  }
  int64_t version_priority = spec["versionPriority"].as_int();
  if (version_priority <= 0 || version_priority > 1000) {
    errors.invalid(path / "versionPriority", version_priority,
                   "must be positive and less than 1000");
  }
  const Value& service = spec["service"];
  bool insecure = spec["insecureSkipTLSVerify"].as_bool();
  if (service.is_null()) {
    if (!spec["caBundle"].as_string().empty()) {
      errors.invalid(path / "caBundle", spec["caBundle"],
                     "local APIServices may not have a caBundle");
    }
    if (insecure) {
      errors.invalid(path / "insecureSkipTLSVerify", true,
                     "local APIServices may not have insecureSkipTLSVerify");
    }
    return;
  }
  for (const char* member : {"namespace", "name"}) {
    if (service[member].as_string().empty()) errors.required(path / "service" / member);
  }
  if (!service["port"].is_null() && !check_port_number(service["port"].as_int()).empty()) {
    errors.invalid(path / "service" / "port", service["port"],
                   "port is not valid: must be between 1 and 65535, inclusive");
  }
  if (insecure && !spec["caBundle"].as_string().empty()) {
    errors.invalid(path / "insecureSkipTLSVerify", true, "may not be true if caBundle is present");
  }
}

void key_usage(const Value& usage, const Path& path, ErrorList& errors) {
  maybe_one_of(usage,
               {"any",
                "cert sign",
                "client auth",
                "code signing",
                "content commitment",
                "crl sign",
                "data encipherment",
                "decipher only",
                "digital signature",
                "email protection",
                "encipher only",
                "ipsec end system",
                "ipsec tunnel",
                "ipsec user",
                "key agreement",
                "key encipherment",
                "microsoft sgc",
                "netscape sgc",
                "ocsp signing",
                "s/mime",
                "server auth",
                "signing",
                "timestamping"},
               path, errors);
}

}  // namespace

void signer_name(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view name = value.as_string();
  if (name.empty()) return errors.required(path);
  size_t slash = name.find('/');
  bool good = slash != std::string_view::npos &&
              name.find('/', slash + 1) == std::string_view::npos && slash + 1 < name.size() &&
              slash > 0;
  if (!good) {
    errors.invalid(
        path, name,
        "must be a fully qualified domain and path of the form 'example.com/signer-name'");
    return;
  }
  std::string_view domain = name.substr(0, slash);
  errors.invalid_all(path, domain, check_dns1123_subdomain(domain));
  if (domain.find('.') == std::string_view::npos) {
    errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
  }
}

namespace {

// "-----BEGIN CERTIFICATE REQUEST-----" in base64 starts so.
bool is_request(std::string_view base64) {
  constexpr std::string_view kBegin = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS";
  constexpr std::string_view kBeginNew = "LS0tLS1CRUdJTiBORVcgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0t";
  return base64.substr(0, kBegin.size()) == kBegin ||
         base64.substr(0, kBeginNew.size()) == kBeginNew;
}

void signing_request(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (!is_request(spec["request"].as_string())) {
    errors.invalid(path / "request", spec["request"], "PEM block type must be CERTIFICATE REQUEST");
  }
  if (spec["usages"].empty()) errors.required(path / "usages");
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& usage : spec["usages"].elements()) {
    Path at = (path / "usages")[i++];
    key_usage(usage, at, errors);
    if (!seen.insert(usage.as_string()).second) errors.duplicate(at, usage);
  }
  if (spec["signerName"].as_string() == "kubernetes.io/legacy-unknown") {
    errors.invalid(path / "signerName", spec["signerName"],
                   "the legacy signerName is not allowed via this API version");
  } else {
    signer_name(spec["signerName"], path / "signerName", errors);
  }
  const Value& seconds = spec["expirationSeconds"];
  if (!seconds.is_null() && seconds.as_int() < 600) {
    errors.invalid(path / "expirationSeconds", seconds,
                   "may not specify a duration less than 600 seconds (10 minutes)");
  }
}

void signing_request_update(const Value& object, const Value& old, ErrorList& errors) {
  signing_request(object, errors);
  immutable(object["spec"], old["spec"], Path("spec"), errors);
}

void lease(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  const Value& seconds = spec["leaseDurationSeconds"];
  if (!seconds.is_null() && seconds.as_int() <= 0) {
    errors.invalid(path / "leaseDurationSeconds", seconds, "must be greater than 0");
  }
  not_negative(spec["leaseTransitions"], path / "leaseTransitions", errors);
  const Value& strategy = spec["strategy"];
  if (!strategy.is_null() && strategy.as_string() != "OldestEmulationVersion" &&
      strategy.as_string().find('/') == std::string_view::npos) {
    errors.not_supported(path / "strategy", strategy, {"OldestEmulationVersion"});
  }
  if (!spec["preferredHolder"].as_string().empty() && strategy.as_string().empty()) {
    errors.forbidden(path / "preferredHolder", "may only be specified if `strategy` is defined");
  }
}

void runtime_class(const Value& object, ErrorList& errors) {
  if (object["handler"].as_string().empty()) {
    errors.required(Path("handler"));
  } else {
    dns_label(object["handler"], Path("handler"), errors);
  }
  if (!object["overhead"].is_null()) {
    container_resources(Value::object({{"limits", object["overhead"]["podFixed"]}}),
                        Path("overhead"), errors);
  }
  Path path("scheduling");
  validate_labels(object["scheduling"]["nodeSelector"], path / "nodeSelector", errors);
  const Value& list = object["scheduling"]["tolerations"];
  tolerations(list, path / "tolerations", errors);
  std::vector<Value> seen;
  size_t i = 0;
  for (const Value& one : list.elements()) {
    Value key = one;
    key.erase("tolerationSeconds");
    Path at = (path / "tolerations")[i++];
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      errors.duplicate(at, internal_value("", "v1", "Toleration", one));
    }
    seen.push_back(std::move(key));
  }
}

void runtime_class_update(const Value& object, const Value& old, ErrorList& errors) {
  immutable(object["handler"], old["handler"], Path("handler"), errors);
}

constexpr std::string_view kFlow = "flowcontrol.apiserver.k8s.io";
constexpr KindRules kRules[] = {
    {"apiextensions.k8s.io", "CustomResourceDefinition", name_is_dns_subdomain, definition,
     definition_update, nullptr, definition_name},
    {"apiregistration.k8s.io", "APIService", name_is_path_segment, api_service, nullptr, nullptr,
     api_service_name, kCreateLast},
    {"certificates.k8s.io", "CertificateSigningRequest", name_is_anything, signing_request,
     signing_request_update, signing_request_status},
    {"coordination.k8s.io", "Lease", name_is_dns_subdomain, lease, nullptr, nullptr, nullptr,
     kPlainFinalizers},
    {"node.k8s.io", "RuntimeClass", name_is_dns_subdomain, runtime_class, runtime_class_update,
     nullptr, nullptr, kCreateFirst},
    {kFlow, "FlowSchema", name_is_dns_subdomain, flow_schema, nullptr, flow_status, nullptr,
     kCreateFirst | kNoMetaUpdate | kStatusNoMeta},
    {kFlow, "PriorityLevelConfiguration", name_is_dns_subdomain, priority_level, nullptr,
     flow_status, nullptr, kCreateFirst | kNoMetaUpdate | kStatusNoMeta},
};

}  // namespace

std::span<const KindRules> cluster_rules() { return kRules; }

}  // namespace knarr::api::rules
