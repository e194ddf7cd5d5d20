// What pods may not ask of the operating system that they name.
#include "api/validation/pod.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kNotWindows = "cannot be set for a windows pod";

void refuse(const Value& object, std::initializer_list<const char*> members,
            std::string_view detail, const Path& path, ErrorList& errors) {
  for (const char* member : members) {
    const Value& value = object[member];
    bool set = value.is_bool() ? true : !value.is_null();
    if (set) errors.forbidden(path / member, detail);
  }
}

template <typename Visit>
void each_container(const Value& spec, const Path& path, Visit visit) {
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    size_t i = 0;
    for (const Value& container : spec[list].elements()) visit(container, (path / list)[i++]);
  }
}

void windows(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& context = spec["securityContext"];
  Path at = path / "securityContext";
  refuse(context, {"appArmorProfile", "seLinuxOptions"}, kNotWindows, at, errors);
  refuse(spec, {"hostUsers"}, kNotWindows, path, errors);
  for (const char* member : {"hostPID", "hostIPC"}) {
    if (spec[member].as_bool()) errors.forbidden(path / member, kNotWindows);
  }
  refuse(context, {"seccompProfile", "fsGroup", "fsGroupChangePolicy"}, kNotWindows, at, errors);
  if (!context["sysctls"].empty()) errors.forbidden(at / "sysctls", kNotWindows);
  refuse(spec, {"shareProcessNamespace"}, kNotWindows, path, errors);
  refuse(context,
         {"runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy",
          "seLinuxChangePolicy"},
         kNotWindows, at, errors);
  each_container(spec, path, [&](const Value& container, const Path& where) {
    refuse(container["securityContext"],
           {"appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities",
            "readOnlyRootFilesystem", "privileged", "allowPrivilegeEscalation", "procMount",
            "runAsUser", "runAsGroup"},
           kNotWindows, where / "securityContext", errors);
  });
}

void linux_only(const Value& spec, const Path& path, ErrorList& errors) {
  constexpr std::string_view kDetail = "windows options cannot be set for a linux pod";
  refuse(spec["securityContext"], {"windowsOptions"}, kDetail, path / "securityContext", errors);
  each_container(spec, path, [&](const Value& container, const Path& where) {
    refuse(container["securityContext"], {"windowsOptions"}, kDetail, where / "securityContext",
           errors);
  });
}

}  // namespace

void pod_system(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& os = spec["os"];
  if (os.is_null()) return;
  std::string_view name = os["name"].as_string();
  if (name.empty()) {
    errors.required(path / "os" / "name");
  } else if (name == "linux") {
    linux_only(spec, path, errors);
  } else if (name == "windows") {
    windows(spec, path, errors);
  } else {
    errors.not_supported(path / "os", name, {"linux", "windows"});
  }
}

}  // namespace knarr::api::rules
