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

void volume_mounts(const Value& container, const Volumes& volumes, const Path& path,
                   ErrorList& errors) {
  std::set<std::string_view> paths;
  size_t i = 0;
  for (const Value& mount : container["volumeMounts"].elements()) {
    Path at = path[i++];
    std::string_view name = mount["name"].as_string();
    if (name.empty()) errors.required(at / "name");
    if (volumes.count(name) == 0) errors.not_found(at / "name", name);
    std::string_view where = mount["mountPath"].as_string();
    if (where.empty()) errors.required(at / "mountPath");
    if (!paths.insert(where).second) errors.invalid(at / "mountPath", where, "must be unique");
    std::string_view sub_path = mount["subPath"].as_string();
    std::string_view expression = mount["subPathExpr"].as_string();
    if (!sub_path.empty()) local_descending_path(sub_path, at / "subPath", errors);
    if (!expression.empty()) {
      if (!sub_path.empty()) {
        errors.invalid(at / "subPathExpr", expression,
                       "subPathExpr and subPath are mutually exclusive");
      }
      local_descending_path(expression, at / "subPathExpr", errors);
    }
    maybe_one_of(mount["mountPropagation"], {"Bidirectional", "HostToContainer", "None"},
                 at / "mountPropagation", errors);
    bool privileged = container["securityContext"]["privileged"].as_bool();
    if (mount["mountPropagation"].as_string() == "Bidirectional" && !privileged) {
      errors.forbidden(
          at / "mountPropagation",
          "Bidirectional mount propagation is available only to privileged containers");
    }
  }
}

void volume_devices(const Value& devices, const Volumes& volumes, const Path& path,
                    ErrorList& errors) {
  std::set<std::string_view> names;
  std::set<std::string_view> paths;
  size_t i = 0;
  for (const Value& device : devices.elements()) {
    Path at = path[i++];
    std::string_view name = device["name"].as_string();
    if (name.empty()) errors.required(at / "name");
    if (!names.insert(name).second) errors.invalid(at / "name", name, "must be unique");
    if (volumes.count(name) == 0) errors.not_found(at / "name", name);
    std::string_view where = device["devicePath"].as_string();
    if (where.empty()) errors.required(at / "devicePath");
    if (!paths.insert(where).second) errors.invalid(at / "devicePath", where, "must be unique");
  }
}

void resize_policy(const Value& policies, const Path& path, ErrorList& errors) {
  for (const Value& policy : policies.elements()) {
    maybe_one_of(policy["resourceName"], {"cpu", "memory"}, path, errors);
    one_of(policy["restartPolicy"], {"NotRequired", "RestartContainer"}, path, errors);
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
  std::string_view image = container["image"].as_string();
  constexpr std::string_view kSpace = " \t\n\r\v\f";
  if (image.empty()) {
    errors.required(path / "image");
  } else if (kSpace.find(image.front()) != std::string_view::npos ||
             kSpace.find(image.back()) != std::string_view::npos) {
    errors.invalid(path / "image", image, "must not have leading or trailing whitespace");
  }
  one_of(container["terminationMessagePolicy"], {"File", "FallbackToLogsOnError"},
         path / "terminationMessagePolicy", errors);
  ports(container["ports"], path / "ports", errors);
  environment(container["env"], path / "env", errors);
  environment_from(container["envFrom"], path / "envFrom", errors);
  volume_mounts(container, volumes, path / "volumeMounts", errors);
  volume_devices(container["volumeDevices"], volumes, path / "volumeDevices", errors);
  one_of(container["imagePullPolicy"], {"Always", "IfNotPresent", "Never"},
         path / "imagePullPolicy", errors);
  container_resources(container["resources"], path / "resources", errors);
  resize_policy(container["resizePolicy"], path / "resizePolicy", errors);
  container_security(container["securityContext"], pod_spec, path / "securityContext", errors);
}

void init_container(const Value& container, int64_t grace_seconds, const Path& path,
                    ErrorList& errors) {
  const Value& policy = container["restartPolicy"];
  bool sidecar = policy.as_string() == "Always";
  if (sidecar) return probes_and_lifecycle(container, grace_seconds, path, errors);
  for (const char* member : {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"}) {
    if (!container[member].is_null()) errors.forbidden(path / member, kRestartable);
  }
}

bool is_native(std::string_view resource) {
  return resource.find('/') == std::string_view::npos ||
         resource.find("kubernetes.io/") != std::string_view::npos;
}

bool is_huge_page(std::string_view resource) { return resource.substr(0, 10) == "hugepages-"; }

void container_resource(std::string_view name, const Value& value, const Path& path,
                        ErrorList& errors) {
  resource_name(name, path, errors);
  bool plain = name.find('/') == std::string_view::npos;
  if (plain && check_qualified_name(name).empty() && !is_huge_page(name) &&
      !contains({"cpu", "memory", "ephemeral-storage"}, name)) {
    errors.invalid(path, name, "must be a standard resource for containers");
  }
  quantity_not_negative(value, path, errors);
  if (is_integer_resource(name) && !quantity_or_zero(value.as_string()).is_integer()) {
    errors.invalid(path, value, "must be an integer");
  }
}

}  // namespace

void container_resources(const Value& resources, const Path& path, ErrorList& errors) {
  const Value& limits = resources["limits"];
  bool compute = false;
  bool huge = false;
  auto note = [&](std::string_view name) {
    compute |= name == "cpu" || name == "memory";
    huge |= is_huge_page(name);
  };
  for (auto [name, value] : limits.members()) {
    container_resource(name, value, (path / "limits").key(name), errors);
    note(name);
  }
  for (auto [name, value] : resources["requests"].members()) {
    container_resource(name, value, (path / "requests").key(name), errors);
    note(name);
    bool overcommit = is_native(name) && !is_huge_page(name);
    const Value* limit = limits.find(name);
    if (limit == nullptr) {
      if (!overcommit) {
        errors.required(path / "limits", "Limit must be set for non overcommitable resources");
      }
      continue;
    }
    int order = quantity_or_zero(value.as_string()).compare(quantity_or_zero(limit->as_string()));
    if (order != 0 && !overcommit) {
      errors.invalid(path / "requests", value,
                     fmt::format("must be equal to {} limit of {}", name, limit->as_string()));
    } else if (order > 0) {
      errors.invalid(
          path / "requests", value,
          fmt::format("must be less than or equal to {} limit of {}", name, limit->as_string()));
    }
  }
  if (huge && !compute) errors.forbidden(path, "HugePages require cpu or memory");
}

void pod_containers(const Value& spec, const Volumes& volumes, const Path& path,
                    ErrorList& errors) {
  int64_t grace_seconds = spec["terminationGracePeriodSeconds"].as_int(30);
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
    probes_and_lifecycle(container, grace_seconds, at, errors);
  }
  host_port_conflicts(spec["containers"], containers, errors);
  i = 0;
  for (const Value& container : spec["initContainers"].elements()) {
    Path at = (path / "initContainers")[i++];
    container_common(container, spec, volumes, at, errors);
    maybe_one_of(container["restartPolicy"], {"Always", "Never", "OnFailure"}, at / "restartPolicy",
                 errors);
    std::string_view name = container["name"].as_string();
    if (!name.empty() && !names.insert(name).second) errors.duplicate(at / "name", name);
    init_container(container, grace_seconds, at, errors);
  }
}

void ephemeral_containers(const Value& spec, const Volumes& volumes, const Path& path,
                          ErrorList& errors) {
  std::set<std::string_view> names;
  for (const char* list : {"containers", "initContainers"}) {
    for (const Value& container : spec[list].elements())
      names.insert(container["name"].as_string());
  }
  std::set<std::string_view> targets;
  for (const Value& container : spec["containers"].elements()) {
    targets.insert(container["name"].as_string());
  }
  size_t i = 0;
  for (const Value& container : spec["ephemeralContainers"].elements()) {
    Path at = (path / "ephemeralContainers")[i++];
    container_common(container, spec, volumes, at, errors);
    std::string_view name = container["name"].as_string();
    if (!names.insert(name).second) errors.duplicate(at / "name", name);
    std::string_view target = container["targetContainerName"].as_string();
    if (!target.empty() && targets.count(target) == 0) {
      errors.not_found(at / "targetContainerName", target);
    }
    for (const char* member : {"ports", "livenessProbe", "readinessProbe", "startupProbe",
                               "lifecycle", "resources", "resizePolicy"}) {
      if (!container[member].is_null() && !container[member].empty()) {
        errors.forbidden(at / member, "cannot be set for an Ephemeral Container");
      }
    }
  }
}

}  // namespace knarr::api::rules
