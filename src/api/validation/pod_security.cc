// Security contexts of pods and containers.
#include <cctype>
#include <set>

#include "api/validation/internal.h"
#include "api/validation/pod.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kIdRange = "must be between 0 and 2147483647, inclusive";

void user_id(const Value& id, const Path& path, ErrorList& errors) {
  if (!id.is_null() && (id.as_int() < 0 || id.as_int() > 2147483647)) {
    errors.invalid(path, id, kIdRange);
  }
}

void seccomp(const Value& profile, const Path& path, ErrorList& errors) {
  if (profile.is_null()) return;
  std::string_view type = profile["type"].as_string();
  const Value& local = profile["localhostProfile"];
  if (type.empty()) {
    errors.required(path / "type", "type is required when seccompProfile is set");
  } else {
    one_of(profile["type"], {"Localhost", "RuntimeDefault", "Unconfined"}, path / "type", errors);
  }
  Path at = path / "localhostProfile";
  if (type != "Localhost") {
    if (local.is_null()) return;
    errors.invalid(at, internal_value("", "v1", "SeccompProfile", profile),
                   "can only be set when seccomp type is Localhost");
  } else if (local.is_null()) {
    errors.required(at, "must be set when seccomp type is Localhost");
  } else {
    local_descending_path(local.as_string(), at, errors);
  }
}

void app_armor(const Value& profile, const Path& path, ErrorList& errors) {
  constexpr std::string_view kLocal = "must be set when AppArmor type is Localhost";
  constexpr size_t kLongest = 4095;
  if (profile.is_null()) return;
  std::string_view type = profile["type"].as_string();
  const Value& local = profile["localhostProfile"];
  Path at = path / "localhostProfile";
  if (type == "Localhost") {
    std::string_view text = local.as_string();
    bool padded = !text.empty() && (std::isspace(static_cast<unsigned char>(text.front())) != 0 ||
                                    std::isspace(static_cast<unsigned char>(text.back())) != 0);
    if (padded) {
      errors.invalid(at, local, "must not be padded with whitespace");
    } else if (text.empty()) {
      errors.required(at, kLocal);
    }
    if (text.size() > kLongest) errors.too_long(at, kLongest);
  } else if (type == "RuntimeDefault" || type == "Unconfined") {
    if (local.is_null()) return;
    errors.invalid(at, local, "can only be set when AppArmor type is Localhost");
  } else if (type.empty()) {
    errors.required(path / "type", "type is required when appArmorProfile is set");
  } else {
    errors.not_supported(path / "type", profile["type"],
                         {"Localhost", "RuntimeDefault", "Unconfined"});
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

void escalation(const Value& context, const Path& path, ErrorList& errors) {
  if (context["allowPrivilegeEscalation"].as_bool(true)) return;
  Value shown = internal_value("", "v1", "SecurityContext", context);
  if (context["privileged"].as_bool()) {
    errors.invalid(path, shown,
                   "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
  }
  for (const Value& capability : context["capabilities"]["add"].elements()) {
    if (capability.as_string() == "CAP_SYS_ADMIN") {
      errors.invalid(path, shown,
                     "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` "
                     "CAP_SYS_ADMIN");
    }
  }
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
  seccomp(context["seccompProfile"], path / "seccompProfile", errors);
  escalation(context, path, errors);
  windows_options(context["windowsOptions"], path / "windowsOptions", errors);
  app_armor(context["appArmorProfile"], path / "appArmorProfile", errors);
}

void pod_security(const Value& spec, const Path& path, ErrorList& errors) {
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
  seccomp(context["seccompProfile"], at / "seccompProfile", errors);
  windows_options(context["windowsOptions"], at / "windowsOptions", errors);
  app_armor(context["appArmorProfile"], at / "appArmorProfile", errors);
  maybe_one_of(context["supplementalGroupsPolicy"], {"Merge", "Strict"},
               at / "supplementalGroupsPolicy", errors);
  maybe_one_of(context["seLinuxChangePolicy"], {"MountOption", "Recursive"},
               at / "seLinuxChangePolicy", errors);
}

}  // namespace knarr::api::rules
