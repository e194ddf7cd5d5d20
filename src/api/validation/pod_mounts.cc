// Volumes in containers: mounted, or as devices.
#include <set>

#include "api/validation/pod.h"
#include "api/validation/volume_sources.h"

namespace knarr::api::rules {
namespace {

bool holds(const Value& list, const char* member, std::string_view value) {
  for (const Value& one : list.elements()) {
    if (one[member].as_string() == value) return true;
  }
  return false;
}

void propagation(const Value& mount, const Value& container, const Path& path, ErrorList& errors) {
  const Value& mode = mount["mountPropagation"];
  maybe_one_of(mode, {"Bidirectional", "HostToContainer", "None"}, path, errors);
  bool privileged = container["securityContext"]["privileged"].as_bool();
  if (mode.as_string() == "Bidirectional" && !privileged) {
    errors.forbidden(path,
                     "Bidirectional mount propagation is available only to privileged containers");
  }
}

void recursive(const Value& mount, const Path& path, ErrorList& errors) {
  const Value& mode = mount["recursiveReadOnly"];
  if (mode.is_null() || mode.as_string() == "Disabled") return;
  if (!contains({"Enabled", "IfPossible"}, mode.as_string())) {
    errors.not_supported(path, mode, {"Disabled", "Enabled", "IfPossible"});
    return;
  }
  if (!mount["readOnly"].as_bool()) {
    errors.forbidden(path, "may only be specified when readOnly is true");
  }
  if (mount["mountPropagation"].as_string("None") != "None") {
    errors.forbidden(path, "may only be specified when mountPropagation is None or not specified");
  }
}

}  // namespace

// Some errors of a mount are placed at the list, as upstream does.
void volume_mounts(const Value& container, const Volumes& volumes, const Path& path,
                   ErrorList& errors) {
  std::set<std::string_view> paths;
  const Value& devices = container["volumeDevices"];
  size_t i = 0;
  for (const Value& mount : container["volumeMounts"].elements()) {
    Path at = path[i++];
    std::string_view name = mount["name"].as_string();
    if (name.empty()) errors.required(at / "name");
    if (!volumes.contains(name)) errors.not_found(at / "name", name);
    std::string_view where = mount["mountPath"].as_string();
    if (where.empty()) errors.required(at / "mountPath");
    if (!paths.insert(where).second) errors.invalid(at / "mountPath", where, "must be unique");
    if (holds(devices, "name", name)) {
      errors.invalid(at / "name", name, "must not already exist in volumeDevices");
    }
    if (holds(devices, "devicePath", where)) {
      errors.invalid(at / "mountPath", where, "must not already exist as a path in volumeDevices");
    }
    std::string_view sub_path = mount["subPath"].as_string();
    std::string_view expression = mount["subPathExpr"].as_string();
    if (!sub_path.empty()) local_descending_path(sub_path, path / "subPath", errors);
    if (!expression.empty()) {
      if (!sub_path.empty()) {
        errors.invalid(at / "subPathExpr", expression,
                       "subPathExpr and subPath are mutually exclusive");
      }
      local_descending_path(expression, path / "subPathExpr", errors);
    }
    propagation(mount, container, path / "mountPropagation", errors);
    recursive(mount, path / "recursiveReadOnly", errors);
  }
}

void volume_devices(const Value& container, const Volumes& volumes, const Path& path,
                    ErrorList& errors) {
  std::set<std::string_view> names;
  std::set<std::string_view> paths;
  const Value& mounts = container["volumeMounts"];
  size_t i = 0;
  for (const Value& device : container["volumeDevices"].elements()) {
    Path at = path[i++];
    std::string_view name = device["name"].as_string();
    if (name.empty()) errors.required(at / "name");
    if (names.contains(name)) errors.invalid(at / "name", name, "must be unique");
    auto volume = volumes.find(name);
    if (volume == volumes.end()) {
      errors.not_found(at / "name", name);
    } else if ((*volume->second)["persistentVolumeClaim"].is_null() &&
               (*volume->second)["ephemeral"].is_null()) {
      errors.invalid(at / "name", name,
                     "can only use volume source type of PersistentVolumeClaim or Ephemeral for "
                     "block mode");
    }
    std::string_view where = device["devicePath"].as_string();
    if (where.empty()) errors.required(at / "devicePath");
    if (paths.contains(where)) errors.invalid(at / "devicePath", where, "must be unique");
    ErrorList steps;
    no_backsteps(where, at, steps);
    if (steps.empty()) {
      paths.insert(where);
    } else {
      errors.invalid(at / "devicePath", where, "can not contain backsteps ('..')");
    }
    if (holds(mounts, "name", name)) {
      errors.invalid(at / "name", name, "must not already exist in volumeMounts");
    }
    if (holds(mounts, "mountPath", where)) {
      errors.invalid(at / "devicePath", where, "must not already exist as a path in volumeMounts");
    }
    if (!name.empty()) names.insert(name);
  }
}

}  // namespace knarr::api::rules
