// A pod's spec as a whole, in pods and in templates.
#include <set>

#include "api/validation/internal.h"
#include "api/validation/pod.h"

namespace knarr::api::rules {
namespace {

void dns_config(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& config = spec["dnsConfig"];
  Path at = path / "dnsConfig";
  bool none = spec["dnsPolicy"].as_string() == "None";
  if (config.is_null()) {
    if (none) errors.required(at, "must provide `dnsConfig` when `dnsPolicy` is None");
    return;
  }
  const Value& servers = config["nameservers"];
  if (none && servers.empty()) {
    errors.required(at / "nameservers",
                    "must provide at least one DNS nameserver when `dnsPolicy` is None");
  }
  if (servers.size() > 3) {
    errors.invalid(at / "nameservers", servers, "must not have more than 3 nameservers");
  }
  size_t i = 0;
  for (const Value& server : servers.elements())
    ip_address(server, (at / "nameservers")[i++], errors);
  if (config["searches"].size() > 32) {
    errors.invalid(at / "searches", config["searches"], "must not have more than 32 search paths");
  }
  i = 0;
  for (const Value& search : config["searches"].elements()) {
    std::string_view text = search.as_string();
    Path where = (at / "searches")[i++];
    if (text != "." && !text.empty() && text.back() == '.') text.remove_suffix(1);
    if (text != ".") {
      errors.invalid_all(where, text, check_dns1123_subdomain_with_underscore(text));
    }
  }
  i = 0;
  for (const Value& option : config["options"].elements()) {
    Path where = (at / "options")[i++];
    if (option["name"].as_string().empty()) errors.required(where, "must not be empty");
  }
}

void host_name(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& name = spec["hostnameOverride"];
  Path at = path / "hostnameOverride";
  if (name.is_null()) return;
  if (spec["setHostnameAsFQDN"].as_bool()) {
    errors.forbidden(at, "may not be specified when setHostnameAsFQDN is true");
  }
  if (spec["hostNetwork"].as_bool()) {
    errors.forbidden(at, "may not be specified when hostNetwork is true");
  }
  if (name.as_string().size() > 64) errors.too_long(at, 64);
  dns_subdomain(name, at, errors);
}

void scheduling_gates(const Value& gates, const Path& path, ErrorList& errors) {
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& gate : gates.elements()) {
    Path at = path[i++];
    qualified_name(gate["name"], at, errors);
    if (!seen.insert(gate["name"].as_string()).second) errors.duplicate(at, gate["name"]);
  }
}

void host_users(const Value& spec, const Path& path, ErrorList& errors) {
  if (spec["hostUsers"].as_bool(true)) return;
  struct Shared {
    const char* member;
    const char* shown;
  };
  for (const Shared& one : {Shared{"hostNetwork", "hostNetwork"}, Shared{"hostPID", "HostPID"},
                            Shared{"hostIPC", "HostIPC"}}) {
    if (spec[one.member].as_bool()) {
      errors.forbidden(path / one.shown, "when `hostUsers` is false");
    }
  }
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    size_t i = 0;
    for (const Value& container : spec[list].elements()) {
      Path at = (path / list)[i++] / "volumeDevices";
      if (!container["volumeDevices"].empty()) {
        errors.forbidden(at, "when `hostUsers` is false");
      }
    }
  }
}

void resource_claims(const Value& claims, const Path& path, ErrorList& errors) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& claim : claims.elements()) {
    Path at = path[i++];
    std::string_view name = claim["name"].as_string();
    if (name.empty()) {
      errors.required(at / "name");
    } else if (!names.insert(name).second) {
      errors.duplicate(at / "name", name);
    } else {
      dns_label(claim["name"], at / "name", errors);
    }
    const Value& direct = claim["resourceClaimName"];
    const Value& from = claim["resourceClaimTemplateName"];
    if (direct.is_null() == from.is_null()) {
      Value shown = internal_value("", "v1", "PodResourceClaim", claim);
      errors.invalid(at, shown,
                     direct.is_null()
                         ? "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
                         : "at most one of `resourceClaimName` or `resourceClaimTemplateName` may "
                           "be specified");
    }
    if (!direct.is_null()) dns_subdomain(direct, at / "resourceClaimName", errors);
    if (!from.is_null()) dns_subdomain(from, at / "resourceClaimTemplateName", errors);
  }
}

void host_aliases(const Value& aliases, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& alias : aliases.elements()) {
    Path at = path[i++];
    ip_address(alias["ip"], at / "ip", errors);
    size_t j = 0;
    for (const Value& name : alias["hostnames"].elements()) {
      dns_subdomain(name, (at / "hostnames")[j++], errors);
    }
  }
}

void priority_and_class(const Value& spec, const Path& path, ErrorList& errors) {
  if (!spec["priorityClassName"].as_string().empty()) {
    dns_subdomain(spec["priorityClassName"], path / "priorityClassName", errors);
  }
  if (!spec["runtimeClassName"].is_null()) {
    dns_subdomain(spec["runtimeClassName"], path / "runtimeClassName", errors);
  }
  if (!spec["preemptionPolicy"].is_null()) {
    one_of(spec["preemptionPolicy"], {"PreemptLowerPriority", "Never"}, path / "preemptionPolicy",
           errors);
  }
}

void names_and_limits(const Value& spec, const Path& path, ErrorList& errors) {
  for (const char* member : {"serviceAccountName", "nodeName"}) {
    if (!spec[member].as_string().empty()) dns_subdomain(spec[member], path / member, errors);
  }
  const Value& deadline = spec["activeDeadlineSeconds"];
  if (!deadline.is_null() && (deadline.as_int() < 1 || deadline.as_int() > 2147483647)) {
    errors.invalid(path / "activeDeadlineSeconds", deadline,
                   "must be between 1 and 2147483647, inclusive");
  }
  for (const char* member : {"hostname", "subdomain"}) {
    if (!spec[member].as_string().empty()) dns_label(spec[member], path / member, errors);
  }
}

// Variables from files: the files are in volumes that init containers can fill.
void file_key_volumes(const Value& spec, const Path& path, ErrorList& errors) {
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    size_t i = 0;
    for (const Value& container : spec[list].elements()) {
      Path env = (path / list)[i++] / "env";
      size_t j = 0;
      for (const Value& variable : container["env"].elements()) {
        Path at = env[j++] / "valueFrom" / "fileKeyRef" / "volumeName";
        const Value& reference = variable["valueFrom"]["fileKeyRef"];
        if (reference.is_null()) continue;
        const Value& name = reference["volumeName"];
        const Value* volume = nullptr;
        for (const Value& v : spec["volumes"].elements()) {
          if (v["name"] == name) volume = &v;
        }
        if (volume == nullptr) {
          errors.not_found(at, name);
        } else if ((*volume)["emptyDir"].is_null()) {
          errors.invalid(at, name, "referenced volume must be of type emptyDir");
        }
      }
    }
  }
}

// Templates may leave it to the pod's defaults.
void host_network_ports(const Value& spec, bool is_pod, const Path& path, ErrorList& errors) {
  if (!spec["hostNetwork"].as_bool()) return;
  size_t i = 0;
  for (const Value& container : spec["containers"].elements()) {
    Path ports = path[i++] / "ports";
    size_t j = 0;
    for (const Value& port : container["ports"].elements()) {
      Path at = ports[j++] / "hostPort";
      int64_t number = port["hostPort"].as_int();
      if ((is_pod || number != 0) && number != port["containerPort"].as_int()) {
        errors.invalid(at, number, "must match `containerPort` when `hostNetwork` is true");
      }
    }
  }
}

}  // namespace

void pod_spec(const Value& spec, const Value& metadata, const Path& path, ErrorList& errors) {
  Volumes volumes = pod_volumes(spec["volumes"], metadata, path / "volumes", errors);
  resource_claims(spec["resourceClaims"], path / "resourceClaims", errors);
  pod_containers(spec, volumes, path, errors);
  ephemeral_containers(spec, volumes, path, errors);
  whole_pod_resources(spec, path / "resources", errors);
  host_network_ports(spec, !metadata.is_null(), path / "containers", errors);
  if (!spec["restartPolicy"].is_null()) {
    one_of(spec["restartPolicy"], {"Always", "OnFailure", "Never"}, path / "restartPolicy", errors);
  }
  if (!spec["dnsPolicy"].is_null()) {
    one_of(spec["dnsPolicy"], {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"},
           path / "dnsPolicy", errors);
  }
  validate_labels(spec["nodeSelector"], path / "nodeSelector", errors);
  pod_security(spec, path, errors);
  affinity(spec["affinity"], path / "affinity", errors);
  dns_config(spec, path, errors);
  size_t i = 0;
  for (const Value& gate : spec["readinessGates"].elements()) {
    qualified_name(gate["conditionType"], (path / "readinessGates")[i++] / "conditionType", errors);
  }
  scheduling_gates(spec["schedulingGates"], path / "schedulingGates", errors);
  topology_spread(spec["topologySpreadConstraints"], path / "topologySpreadConstraints", errors);
  windows_host_process(spec, path, errors);
  host_users(spec, path, errors);
  host_name(spec, path, errors);
  names_and_limits(spec, path, errors);
  tolerations(spec["tolerations"], path / "tolerations", errors);
  host_aliases(spec["hostAliases"], path / "hostAliases", errors);
  priority_and_class(spec, path, errors);
  if (!spec["overhead"].is_null()) {
    container_resources(Value::object({{"limits", spec["overhead"]}}), path / "overhead", errors);
  }
  pod_system(spec, path, errors);
  file_key_volumes(spec, path, errors);
}

void pod_template(const Value& pod_template, const Path& path, ErrorList& errors) {
  const Value& metadata = pod_template["metadata"];
  validate_labels(metadata["labels"], path / "labels", errors);
  validate_annotations(metadata["annotations"], path / "annotations", errors);
  pod_annotations(metadata["annotations"], pod_template["spec"], path / "annotations", errors);
  pod_spec(pod_template["spec"], Value(), path / "spec", errors);
  if (!pod_template["spec"]["ephemeralContainers"].empty()) {
    errors.forbidden(path / "spec" / "ephemeralContainers",
                     "ephemeral containers not allowed in pod template");
  }
}

}  // namespace knarr::api::rules
