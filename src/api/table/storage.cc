// Volumes, claims, and the classes and drivers behind them.
#include "api/quantity.h"
#include "api/table/columns.h"

namespace knarr::api::table {
namespace {

bool deleting(const json::Value& object) {
  return !object["metadata"]["deletionTimestamp"].is_null();
}

json::Value phase(const json::Value& object, int64_t) {
  return deleting(object) ? "Terminating" : object["status"]["phase"].as_string();
}

std::string access_modes(const json::Value& modes) {
  static constexpr std::pair<std::string_view, const char*> kShort[] = {
      {"ReadWriteOnce", "RWO"},
      {"ReadOnlyMany", "ROX"},
      {"ReadWriteMany", "RWX"},
      {"ReadWriteOncePod", "RWOP"},
  };
  std::string out;
  for (const auto& [mode, text] : kShort) {
    for (const json::Value& value : modes.elements()) {
      if (value.as_string() != mode) continue;
      out += (out.empty() ? "" : ",") + std::string(text);
      break;
    }
  }
  return out;
}

std::string capacity_of(const json::Value& capacity) {
  std::string_view storage = capacity["storage"].as_string();
  if (storage.empty()) return "0";
  return quantity_or_zero(storage).text();
}

std::string class_of(const json::Value& object) {
  const json::Value& old =
      object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
  return old.is_null() ? object["spec"]["storageClassName"].text() : old.text();
}
json::Value storage_class(const json::Value& object, int64_t) { return class_of(object); }

bool bound(const json::Value& claim) { return !claim["spec"]["volumeName"].as_string().empty(); }
json::Value claim_capacity(const json::Value& claim, int64_t) {
  return bound(claim) ? capacity_of(claim["status"]["capacity"]) : "";
}
json::Value claim_modes(const json::Value& claim, int64_t) {
  return bound(claim) ? access_modes(claim["status"]["accessModes"]) : "";
}

json::Value volume_capacity(const json::Value& volume, int64_t) {
  return capacity_of(volume["spec"]["capacity"]);
}
json::Value volume_modes(const json::Value& volume, int64_t) {
  return access_modes(volume["spec"]["accessModes"]);
}
json::Value volume_claim(const json::Value& volume, int64_t) {
  const json::Value& ref = volume["spec"]["claimRef"];
  return ref.is_null() ? "" : ref["namespace"].text() + "/" + ref["name"].text();
}

json::Value class_name(const json::Value& object, int64_t) {
  const json::Value& annotations = object["metadata"]["annotations"];
  std::string name = object["metadata"]["name"].text();
  for (const char* key : {"storageclass.kubernetes.io/is-default-class",
                          "storageclass.beta.kubernetes.io/is-default-class"}) {
    if (annotations[key].as_string() == "true") return name + " (default)";
  }
  return name;
}

json::Value flag(const json::Value& object, const char* member, bool missing) {
  return object["spec"][member].as_bool(missing);
}
json::Value attach_required(const json::Value& driver, int64_t) {
  return flag(driver, "attachRequired", true);
}
json::Value pod_info(const json::Value& driver, int64_t) {
  return flag(driver, "podInfoOnMount", false);
}
json::Value storage_capacity(const json::Value& driver, int64_t) {
  return flag(driver, "storageCapacity", false);
}
json::Value republish(const json::Value& driver, int64_t) {
  return flag(driver, "requiresRepublish", false);
}
json::Value token_requests(const json::Value& driver, int64_t) {
  const json::Value& requests = driver["spec"]["tokenRequests"];
  if (requests.is_null()) return "<unset>";
  std::vector<std::string> out;
  for (const json::Value& request : requests.elements()) out.push_back(request["audience"].text());
  return joined(out, ",");
}
json::Value modes(const json::Value& driver, int64_t) {
  std::vector<std::string> out;
  for (const json::Value& mode : driver["spec"]["volumeLifecycleModes"].elements()) {
    out.push_back(mode.text());
  }
  return out.empty() ? "<none>" : joined(out, ",");
}

json::Value drivers(const json::Value& node, int64_t) {
  return static_cast<int64_t>(node["spec"]["drivers"].size());
}
json::Value expansion(const json::Value& object, int64_t) {
  return object["allowVolumeExpansion"].as_bool();
}
json::Value attached(const json::Value& object, int64_t) {
  return object["status"]["attached"].as_bool();
}

constexpr Column kClaims[] = {
    name_column(),
    cell("Status", phase),
    text("Volume", "spec.volumeName"),
    cell("Capacity", claim_capacity),
    cell("Access Modes", claim_modes),
    cell("StorageClass", storage_class),
    text("VolumeAttributesClass", "spec.volumeAttributesClassName", "<unset>"),
    age_column(),
    text("VolumeMode", "spec.volumeMode", "<unset>", 1),
};
constexpr Column kVolumes[] = {
    name_column(),
    cell("Capacity", volume_capacity),
    cell("Access Modes", volume_modes),
    text("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
    cell("Status", phase),
    cell("Claim", volume_claim),
    cell("StorageClass", storage_class),
    text("VolumeAttributesClass", "spec.volumeAttributesClassName", "<unset>"),
    text("Reason", "status.reason"),
    age_column(),
    text("VolumeMode", "spec.volumeMode", "<unset>", 1),
};
constexpr Column kDrivers[] = {
    name_column(),
    cell("AttachRequired", attach_required, "boolean"),
    cell("PodInfoOnMount", pod_info, "boolean"),
    cell("StorageCapacity", storage_capacity, "boolean"),
    cell("TokenRequests", token_requests),
    cell("RequiresRepublish", republish, "boolean"),
    cell("Modes", modes),
    age_column(),
};
constexpr Column kNodes[] = {name_column(), cell("Drivers", drivers, "integer"), age_column()};
constexpr Column kClasses[] = {
    {"Name", "string", "name", 0, class_name, nullptr, nullptr},
    text("Provisioner", "provisioner"),
    text("ReclaimPolicy", "reclaimPolicy", "Delete"),
    text("VolumeBindingMode", "volumeBindingMode", "Immediate"),
    cell("AllowVolumeExpansion", expansion),
    age_column(),
};
constexpr Column kAttachments[] = {
    name_column(),
    {"Attacher", "string", "name", 0, nullptr, "spec.attacher", ""},
    text("PV", "spec.source.persistentVolumeName"),
    text("Node", "spec.nodeName"),
    cell("Attached", attached, "boolean"),
    age_column(),
};
constexpr Column kAttributesClasses[] = {name_column(), text("DriverName", "driverName"),
                                         age_column()};

constexpr ResourceTable kTables[] = {
    {"", "persistentvolumeclaims", kClaims},
    {"", "persistentvolumes", kVolumes},
    {"storage.k8s.io", "csidrivers", kDrivers},
    {"storage.k8s.io", "csinodes", kNodes},
    {"storage.k8s.io", "storageclasses", kClasses},
    {"storage.k8s.io", "volumeattachments", kAttachments},
    {"storage.k8s.io", "volumeattributesclasses", kAttributesClasses},
};

}  // namespace

std::span<const ResourceTable> storage_tables() { return kTables; }

}  // namespace knarr::api::table
