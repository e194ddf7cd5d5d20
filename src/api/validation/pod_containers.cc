// Containers, init containers and ephemeral ones.
#include <set>

#include "api/validation/pod.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kRestartable =
    "may not be set for init containers without restartPolicy=Always";

void ports(const Value& list, const Path& path, ErrorList& errors) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& port : list.elements()) {
    Path at = path[i++];
    std::string_view name = port["name"].as_string();
    if (!name.empty()) {
      Problems problems = check_port_name(name);
      errors.invalid_all(at / "name", name, problems);
      if (problems.empty() && !names.insert(name).second) errors.duplicate(at / "name", name);
    }
    if (port["containerPort"].as_int() == 0) {
      errors.required(at / "containerPort");
    } else {
      errors.invalid_all(at / "containerPort", port["containerPort"],
                         check_port_number(port["containerPort"].as_int()));
    }
    if (port["hostPort"].as_int() != 0) {
      errors.invalid_all(at / "hostPort", port["hostPort"],
                         check_port_number(port["hostPort"].as_int()));
    }
    one_of(port["protocol"], {"SCTP", "TCP", "UDP"}, at / "protocol", errors);
  }
}

void host_port_conflicts(const Value& containers, const Path& path, ErrorList& errors) {
  std::set<std::string> taken;
  size_t i = 0;
  for (const Value& container : containers.elements()) {
    Path at = path[i++];
    size_t j = 0;
    for (const Value& port : container["ports"].elements()) {
      size_t index = j++;
      if (port["hostPort"].as_int() == 0) continue;
      std::string key = fmt::format("{}/{}/{}", port["protocol"].as_string(),
                                    port["hostIP"].as_string(), port["hostPort"].as_int());
      if (!taken.insert(key).second) errors.duplicate((at / "ports")[index] / "hostPort", key);
    }
  }
}

void resize_policy(const Value& policies, const Value& pod_spec, const Path& path,
                   ErrorList& errors) {
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& policy : policies.elements()) {
    std::string_view resource = policy["resourceName"].as_string();
    if (!seen.insert(resource).second) errors.duplicate(path[i], resource);
    i++;
    one_of(policy["resourceName"], {"cpu", "memory"}, path, errors);
    one_of(policy["restartPolicy"], {"NotRequired", "RestartContainer"}, path, errors);
    bool never = pod_spec["restartPolicy"].as_string() == "Never";
    if (never && policy["restartPolicy"].as_string() != "NotRequired") {
      errors.invalid(path, policy["restartPolicy"].as_string(),
                     "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
  }
}

void restart_rule(const Value& rule, const Path& path, ErrorList& errors) {
  std::string_view action = rule["action"].as_string();
  if (!contains({"Restart", "RestartAllContainers"}, action)) {
    errors.not_supported(path / "action", action, {"Restart", "RestartAllContainers"});
  }
  const Value& codes = rule["exitCodes"];
  Path at = path / "exitCodes";
  if (codes.is_null()) return errors.required(at, "must be specified");
  std::string_view op = codes["operator"].as_string();
  if (!contains({"In", "NotIn"}, op)) errors.not_supported(at / "operator", op, {"In", "NotIn"});
  constexpr int64_t kMost = 255;
  auto size = static_cast<int64_t>(codes["values"].size());
  if (size > kMost) errors.too_many(at / "values", size, kMost);
}

void restart_policy(const Value& container, const Path& path, ErrorList& errors) {
  const Value& policy = container["restartPolicy"];
  const Value& rules = container["restartPolicyRules"];
  if (policy.is_null()) {
    if (rules.empty()) return;
    errors.required(path / "restartPolicy",
                    "must specify restartPolicy when restart rules are used");
  } else {
    maybe_one_of(policy, {"Always", "Never", "OnFailure"}, path / "restartPolicy", errors);
  }
  constexpr int64_t kMost = 20;
  auto size = static_cast<int64_t>(rules.size());
  if (size > kMost) errors.too_many(path / "restartPolicyRules", size, kMost);
  size_t i = 0;
  for (const Value& rule : rules.elements()) {
    restart_rule(rule, (path / "restartPolicyRules")[i++], errors);
  }
}

void container_common(const Value& container, const Value& pod_spec, const Volumes& volumes,
                      const Path& path, ErrorList& errors) {
  std::string_view name = container["name"].as_string();
  if (name.empty()) {
    errors.required(path / "name");
  } else {
    dns_label(container["name"], path / "name", errors);
  }
  if (container["image"].as_string().empty()) errors.required(path / "image");
  one_of(container["terminationMessagePolicy"], {"File", "FallbackToLogsOnError"},
         path / "terminationMessagePolicy", errors);
  ports(container["ports"], path / "ports", errors);
  environment(container["env"], path / "env", errors);
  environment_from(container["envFrom"], path / "envFrom", errors);
  volume_mounts(container, volumes, path / "volumeMounts", errors);
  volume_devices(container, volumes, path / "volumeDevices", errors);
  one_of(container["imagePullPolicy"], {"Always", "IfNotPresent", "Never"},
         path / "imagePullPolicy", errors);
  container_resources(container["resources"], path / "resources", errors);
  container_claims(container["resources"]["claims"], pod_spec["resourceClaims"],
                   path / "resources" / "claims", errors);
  resize_policy(container["resizePolicy"], pod_spec, path / "resizePolicy", errors);
  container_security(container["securityContext"], pod_spec, path / "securityContext", errors);
}

void init_container(const Value& container, const Value& pod_spec, const Path& path,
                    ErrorList& errors) {
  if (container["restartPolicy"].as_string() == "Always") {
    return probes_and_lifecycle(container, pod_spec, path, errors);
  }
  for (const char* member : {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"}) {
    if (!container[member].is_null()) errors.forbidden(path / member, kRestartable);
  }
  size_t i = 0;
  for (const Value& policy : container["resizePolicy"].elements()) {
    Path at = (path / "resizePolicy")[i++] / "restartPolicy";
    if (policy["restartPolicy"].as_string() == "RestartContainer") {
      errors.invalid(at, policy["restartPolicy"],
                     "must not be set to 'RestartContainer' for non-sidecar initContainers");
    }
  }
}

}  // namespace

void pod_containers(const Value& spec, const Volumes& volumes, const Path& path,
                    ErrorList& errors) {
  std::set<std::string_view> names;
  Path containers = path / "containers";
  if (spec["containers"].empty()) errors.required(containers);
  size_t i = 0;
  for (const Value& container : spec["containers"].elements()) {
    Path at = containers[i++];
    container_common(container, spec, volumes, at, errors);
    if (!names.insert(container["name"].as_string()).second) {
      errors.duplicate(at / "name", container["name"]);
    }
    probes_and_lifecycle(container, spec, at, errors);
    restart_policy(container, at, errors);
  }
  host_port_conflicts(spec["containers"], containers, errors);
  i = 0;
  for (const Value& container : spec["initContainers"].elements()) {
    Path at = (path / "initContainers")[i++];
    container_common(container, spec, volumes, at, errors);
    restart_policy(container, at, errors);
    std::string_view name = container["name"].as_string();
    if (!name.empty() && !names.insert(name).second) errors.duplicate(at / "name", name);
    host_port_conflicts(Value::array({container}), path / "initContainers", errors);
    init_container(container, spec, at, errors);
  }
}

void ephemeral_containers(const Value& spec, const Volumes& volumes, const Path& path,
                          ErrorList& errors) {
  constexpr std::string_view kCannot = "cannot be set for an Ephemeral Container";
  std::set<std::string_view> others;
  for (const char* list : {"containers", "initContainers"}) {
    for (const Value& c : spec[list].elements()) others.insert(c["name"].as_string());
  }
  std::set<std::string_view> names = others;
  size_t i = 0;
  for (const Value& container : spec["ephemeralContainers"].elements()) {
    Path at = (path / "ephemeralContainers")[i++];
    container_common(container, spec, volumes, at, errors);
    if (!container["image"].as_string().empty()) {
      image_name(container["image"], at / "image", errors);
    }
    std::string_view name = container["name"].as_string();
    if (!names.insert(name).second) errors.duplicate(at / "name", name);
    std::string_view target = container["targetContainerName"].as_string();
    if (!target.empty() && !others.contains(target)) {
      errors.not_found(at / "targetContainerName", target);
    }
    for (const char* member : {"ports", "resources", "resizePolicy", "restartPolicyRules",
                               "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"}) {
      if (!container[member].is_null() && !container[member].empty()) {
        errors.forbidden(at / member, kCannot);
      }
    }
    size_t j = 0;
    for (const Value& mount : container["volumeMounts"].elements()) {
      Path where = (at / "volumeMounts")[j++];
      for (const char* member : {"subPath", "subPathExpr"}) {
        if (!mount[member].as_string().empty()) errors.forbidden(where / member, kCannot);
      }
    }
  }
}

}  // namespace knarr::api::rules
