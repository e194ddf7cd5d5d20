// Security contexts of pods and containers.
#include <algorithm>
#include <set>

#include "api/validation/pod.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kIdRange = "must be between 0 and 2147483647, inclusive";

void user_id(const Value& id, const Path& path, ErrorList& errors) {
  if (!id.is_null() && (id.as_int() < 0 || id.as_int() > 2147483647)) {
    errors.invalid(path, id, kIdRange);
  }
}

// seccompProfile and appArmorProfile are alike.
void profile(const Value& profile, const char* what, const Path& path, ErrorList& errors) {
  if (profile.is_null()) return;
  std::string_view type = profile["type"].as_string();
  const Value& local = profile["localhostProfile"];
  bool seccomp = std::string_view(what) == "seccomp";
  if (!contains({"Localhost", "RuntimeDefault", "Unconfined"}, type)) {
    if (type.empty()) {
      errors.required(path / "type", "type is required when seccompProfile is set");
    } else {
      errors.not_supported(path / "type", type, {"Localhost", "RuntimeDefault", "Unconfined"});
    }
    return;
  }
  if (type == "Localhost") {
    if (local.as_string().empty()) {
      errors.required(path / "localhostProfile",
                      seccomp ? "must be set when seccomp type is Localhost"
                              : "must be set when AppArmor type is Localhost");
    } else if (seccomp) {
      local_descending_path(local.as_string(), path / "localhostProfile", errors);
    }
  } else if (!local.is_null()) {
    errors.invalid(path / "localhostProfile", local,
                   seccomp ? "can only be set when seccomp type is Localhost"
                           : "can only be set when AppArmor type is Localhost");
  }
}

bool is_sysctl_name(std::string_view name) {
  auto end = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > 253) return false;
  size_t begin = 0;
  for (size_t i = 0; i <= name.size(); i++) {
    if (i < name.size() && name[i] != '.' && name[i] != '/') {
      if (!end(name[i]) && name[i] != '-' && name[i] != '_') return false;
      continue;
    }
    if (i == begin || !end(name[begin]) || !end(name[i - 1])) return false;
    begin = i + 1;
  }
  return true;
}

void sysctls(const Value& spec, const Path& path, ErrorList& errors) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& sysctl : spec["securityContext"]["sysctls"].elements()) {
    Path at = path[i++] / "name";
    std::string_view name = sysctl["name"].as_string();
    if (name.empty()) {
      errors.required(at);
    } else if (!is_sysctl_name(name)) {
      errors.invalid(at, name,
                     "must have at most 253 characters and match regex "
                     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
    } else if (!names.insert(name).second) {
      errors.duplicate(at, name);
    }
    if (name.substr(0, 4) == "net." && spec["hostNetwork"].as_bool()) {
      errors.invalid(at, name, "may not be specified when 'hostNetwork' is true");
    }
    bool ipc = name.substr(0, 10) == "kernel.shm" || name.substr(0, 10) == "kernel.msg" ||
               name == "kernel.sem" || name.substr(0, 10) == "fs.mqueue.";
    if (ipc && spec["hostIPC"].as_bool()) {
      errors.invalid(at, name, "may not be specified when 'hostIPC' is true");
    }
  }
}

void host_network_ports(const Value& spec, const Path& path, ErrorList& errors) {
  if (!spec["hostNetwork"].as_bool()) return;
  size_t i = 0;
  for (const Value& container : spec["containers"].elements()) {
    Path ports = path[i++] / "ports";
    size_t j = 0;
    for (const Value& port : container["ports"].elements()) {
      Path at = ports[j++];
      if (port["hostPort"].as_int() != port["containerPort"].as_int()) {
        errors.invalid(at / "hostPort", port["hostPort"].as_int(),
                       "must match `containerPort` when `hostNetwork` is true");
      }
    }
  }
}

// A container's security context as the API server prints it.
Value printed(const Value& context) {
  static constexpr std::pair<const char*, const char*> kMembers[] = {
      {"Capabilities", "capabilities"},
      {"Privileged", "privileged"},
      {"SELinuxOptions", "seLinuxOptions"},
      {"WindowsOptions", "windowsOptions"},
      {"RunAsUser", "runAsUser"},
      {"RunAsGroup", "runAsGroup"},
      {"RunAsNonRoot", "runAsNonRoot"},
      {"ReadOnlyRootFilesystem", "readOnlyRootFilesystem"},
      {"AllowPrivilegeEscalation", "allowPrivilegeEscalation"},
      {"ProcMount", "procMount"},
      {"SeccompProfile", "seccompProfile"},
      {"AppArmorProfile", "appArmorProfile"},
  };
  Value out = Value::object();
  for (const auto& [name, member] : kMembers) out.set(name, context[member]);
  return out;
}

}  // namespace

void container_security(const Value& context, const Value& pod_spec, const Path& path,
                        ErrorList& errors) {
  if (context.is_null()) return;
  user_id(context["runAsUser"], path / "runAsUser", errors);
  user_id(context["runAsGroup"], path / "runAsGroup", errors);
  const Value& proc = context["procMount"];
  maybe_one_of(proc, {"Default", "Unmasked"}, path / "procMount", errors);
  if (proc.as_string() == "Unmasked" && pod_spec["hostUsers"].as_bool(true)) {
    errors.invalid(path / "procMount", proc, "`hostUsers` must be false to use `Unmasked`");
  }
  profile(context["seccompProfile"], "seccomp", path / "seccompProfile", errors);
  profile(context["appArmorProfile"], "AppArmor", path / "appArmorProfile", errors);
  if (context["allowPrivilegeEscalation"].as_bool(true)) return;
  if (context["privileged"].as_bool()) {
    errors.invalid(path, printed(context),
                   "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
  }
  for (const Value& capability : context["capabilities"]["add"].elements()) {
    if (capability.as_string() == "CAP_SYS_ADMIN") {
      errors.invalid(path, printed(context),
                     "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` "
                     "CAP_SYS_ADMIN");
    }
  }
}

void pod_security(const Value& spec, const Path& path, ErrorList& errors) {
  host_network_ports(spec, path / "containers", errors);
  const Value& context = spec["securityContext"];
  Path at = path / "securityContext";
  user_id(context["fsGroup"], at / "fsGroup", errors);
  user_id(context["runAsUser"], at / "runAsUser", errors);
  user_id(context["runAsGroup"], at / "runAsGroup", errors);
  size_t i = 0;
  for (const Value& group : context["supplementalGroups"].elements()) {
    user_id(group, (at / "supplementalGroups")[i++], errors);
  }
  if (spec["shareProcessNamespace"].as_bool() && spec["hostPID"].as_bool()) {
    errors.invalid(at / "shareProcessNamespace", true,
                   "ShareProcessNamespace and HostPID cannot both be enabled");
  }
  sysctls(spec, at / "sysctls", errors);
  maybe_one_of(context["fsGroupChangePolicy"], {"Always", "OnRootMismatch"},
               at / "fsGroupChangePolicy", errors);
  profile(context["seccompProfile"], "seccomp", at / "seccompProfile", errors);
  maybe_one_of(context["supplementalGroupsPolicy"], {"Merge", "Strict"},
               at / "supplementalGroupsPolicy", errors);
  profile(context["appArmorProfile"], "AppArmor", at / "appArmorProfile", errors);
}

}  // namespace knarr::api::rules
