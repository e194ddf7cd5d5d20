// Persistent volumes and claims.
#include "api/validation/internal.h"
#include "api/validation/storage.h"
#include "api/validation/value_diff.h"
#include "api/validation/volume_sources.h"

namespace knarr::api::rules {
namespace {

void access_modes(const Value& modes, const Path& path, ErrorList& errors) {
  bool once = false;
  bool others = false;
  for (const Value& mode : modes.elements()) {
    std::string_view name = mode.as_string();
    if (name == "ReadWriteOncePod") {
      once = true;
    } else if (contains({"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce"}, name)) {
      others = true;
    } else {
      errors.not_supported(path, name,
                           {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"});
    }
  }
  if (once && others) {
    errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
  }
}

void local_source(const Value& source, const Path& path, ErrorList& errors) {
  if (source["path"].as_string().empty()) return errors.required(path / "path");
  no_backsteps(source["path"].as_string(), path / "path", errors);
}

void csi_source(const Value& source, const Path& path, ErrorList& errors) {
  csi_driver_name(source["driver"], path / "driver", errors);
  need(source, {"volumeHandle"}, path, errors);
  for (const char* member : {"controllerPublishSecretRef", "controllerExpandSecretRef",
                             "nodePublishSecretRef", "nodeExpandSecretRef"}) {
    const Value& ref = source[member];
    if (ref.is_null()) continue;
    Path at = path / member;
    need(ref, {"name"}, at, errors);
    if (!ref["name"].as_string().empty()) dns_subdomain(ref["name"], at / "name", errors);
    need(ref, {"namespace"}, at, errors);
    if (!ref["namespace"].as_string().empty())
      dns_label(ref["namespace"], at / "namespace", errors);
  }
}

// In the order in which upstream looks at them.
constexpr VolumeSource kSources[] = {
    {"hostPath", host_path_source},
    {"gcePersistentDisk", disk_source},
    {"awsElasticBlockStore", block_store_source},
    {"glusterfs", persistent_glusterfs_source},
    {"flocker", flocker_source},
    {"nfs", nfs_source},
    {"rbd", rbd_source},
    {"quobyte", quobyte_source},
    {"cephfs", cephfs_source},
    {"iscsi", persistent_iscsi_source},
    {"cinder", persistent_cinder_source},
    {"fc", fc_source},
    {"flexVolume", flex_source},
    {"azureFile", persistent_azure_file_source},
    {"vsphereVolume", vsphere_source},
    {"photonPersistentDisk", photon_source},
    {"portworxVolume", portworx_source},
    {"azureDisk", azure_disk_source},
    {"scaleIO", scale_io_source},
    {"local", local_source},
    {"storageos", persistent_storageos_source},
    {"csi", csi_source},
};

// The places of two sources are spelled unlike their members.
Path checked_at(const Path& path, std::string_view member) {
  return path / (member == "gcePersistentDisk" ? "persistentDisk" : member);
}
Path refused_at(const Path& path, std::string_view member) {
  return path / (member == "cephfs" ? "cephFS" : member);
}

void sources(const Value& spec, const Path& path, ErrorList& errors) {
  int count = 0;
  for (const VolumeSource& source : kSources) {
    std::string_view member = source.member;
    const Value& value = spec[source.member];
    if (value.is_null()) continue;
    bool first = count++ == 0;
    if (!first && member != "flexVolume") {
      errors.forbidden(refused_at(path, member), "may not specify more than 1 volume type");
      continue;
    }
    source.check(value, checked_at(path, member), errors);
    if (member == "local" && spec["nodeAffinity"].is_null()) {
      errors.required(path / "nodeAffinity", "Local volume requires node affinity");
    }
  }
  if (count == 0) errors.required(path, "must specify a volume type");
}

void capacity(const Value& amounts, const Path& path, ErrorList& errors) {
  if (amounts.empty()) errors.required(path);
  if (!amounts.has("storage") || amounts.size() > 1) {
    errors.not_supported(path, amounts, {"storage"});
  }
  for (auto [name, value] : amounts.members()) {
    Path at = path.key(name);
    Quantity quantity = quantity_or_zero(value.as_string());
    if (quantity.sign() < 0) {
      errors.invalid(at, quantity.value(), "must be a valid resource quantity");
    }
    if (quantity.sign() <= 0) errors.invalid(at, value, "must be greater than zero");
  }
}

constexpr std::string_view kInline = " in the context of inline volumes";

// What an attachment's own volume may not say.
void inline_first(const Value& spec, const Path& path, ErrorList& errors) {
  std::string may_not = "may not be specified" + std::string(kInline);
  if (!spec["claimRef"].is_null()) errors.forbidden(path / "claimRef", may_not);
  if (!spec["capacity"].empty()) errors.forbidden(path / "capacity", may_not);
  if (spec["csi"].is_null()) {
    errors.required(path / "csi", "has to be specified" + std::string(kInline));
  }
}

void reclaim_policy(const Value& policy, bool inlined, const Path& path, ErrorList& errors) {
  if (policy.as_string().empty()) return;
  if (!inlined) return maybe_one_of(policy, {"Delete", "Recycle", "Retain"}, path, errors);
  if (policy.as_string() != "Retain") {
    errors.forbidden(path, "may only be Retain" + std::string(kInline));
  }
}

void node_affinity(const Value& affinity, bool inlined, const Path& path, ErrorList& errors) {
  if (affinity.is_null()) return;
  if (inlined) {
    errors.forbidden(path, "may not be specified" + std::string(kInline));
  } else if (affinity["required"].is_null()) {
    errors.required(path / "required", "must specify required node constraints");
  } else {
    node_selector(affinity["required"], path / "required", errors);
  }
}

void class_and_mode(const Value& spec, bool inlined, const Path& path, ErrorList& errors) {
  const Value& name = spec["storageClassName"];
  if (!name.as_string().empty()) {
    if (inlined) {
      errors.forbidden(path / "storageClassName", "may not be specified" + std::string(kInline));
    } else {
      dns_subdomain(name, path / "storageClassName", errors);
    }
  }
  const Value& mode = spec["volumeMode"];
  if (!inlined) {
    maybe_one_of(mode, {"Block", "Filesystem"}, path / "volumeMode", errors);
  } else if (mode.as_string("Filesystem") != "Filesystem") {
    errors.forbidden(path / "volumeMode",
                     "may not specify volumeMode other than Filesystem" + std::string(kInline));
  }
  const Value& attributes = spec["volumeAttributesClassName"];
  if (attributes.is_null() || inlined) return;
  if (attributes.as_string().empty()) {
    errors.required(path / "volumeAttributesClassName", "an empty string is disallowed");
  } else {
    dns_subdomain(attributes, path / "volumeAttributesClassName", errors);
  }
  if (spec["csi"].is_null()) {
    errors.required(path / "csi", "has to be specified when using volumeAttributesClassName");
  }
}

// "/", however it is written.
bool is_root(std::string_view path) {
  return !path.empty() && path.find_first_not_of("/.") == std::string_view::npos && path[0] == '/';
}

// Both members of a volume that say where its bytes are.
Value source_of(const Value& spec) {
  Value out = Value::object();
  for (const VolumeSource& source : kSources) {
    if (!spec[source.member].is_null()) out.set(source.member, spec[source.member]);
  }
  return out;
}

}  // namespace

void volume_spec(const Value& spec, bool inlined, const Path& path, ErrorList& errors) {
  if (inlined) inline_first(spec, path, errors);
  if (spec["accessModes"].empty()) errors.required(path / "accessModes");
  access_modes(spec["accessModes"], path / "accessModes", errors);
  if (!inlined) capacity(spec["capacity"], path / "capacity", errors);
  const Value& policy = spec["persistentVolumeReclaimPolicy"];
  Path policy_path = path / "persistentVolumeReclaimPolicy";
  reclaim_policy(policy, inlined, policy_path, errors);
  node_affinity(spec["nodeAffinity"], inlined, path / "nodeAffinity", errors);
  sources(spec, path, errors);
  if (is_root(spec["hostPath"]["path"].as_string()) && policy.as_string() == "Recycle") {
    errors.forbidden(policy_path, "may not be 'recycle' for a hostPath mount of '/'");
  }
  class_and_mode(spec, inlined, path, errors);
}

void volume(const Value& object, ErrorList& errors) {
  volume_spec(object["spec"], false, Path("spec"), errors);
}

void volume_update(const Value& object, const Value& old, ErrorList& errors) {
  metadata_again(object, false, errors);
  volume(object, errors);
  Path path("spec");
  const Value& spec = object["spec"];
  const Value& before = old["spec"];
  Value now_source = source_of(spec);
  Value old_source = source_of(before);
  constexpr const char* kExpand = "controllerExpandSecretRef";
  if (old_source["csi"].is_object() && old_source["csi"][kExpand].is_null()) {
    if (Value* csi = now_source.find("csi")) csi->erase(kExpand);
  }
  if (!(now_source == old_source)) {
    errors.forbidden(
        path / "persistentvolumesource",
        "spec.persistentvolumesource is immutable after creation\n" +
            value_diff(internal_value("", "v1", "PersistentVolumeSource", old_source),
                       internal_value("", "v1", "PersistentVolumeSource", now_source)));
  }
  immutable(spec["volumeMode"], before["volumeMode"], Path("volumeMode"), errors);
  if (!before["nodeAffinity"].is_null() && !(spec["nodeAffinity"] == before["nodeAffinity"])) {
    errors.invalid(Path("nodeAffinity"),
                   internal_value("", "v1", "VolumeNodeAffinity", spec["nodeAffinity"]),
                   kImmutable);
  }
  if (!before["volumeAttributesClassName"].is_null() &&
      spec["volumeAttributesClassName"].is_null()) {
    errors.forbidden(path / "volumeAttributesClassName",
                     "update from non-nil value to nil is forbidden");
  }
}

namespace {

void data_source(const Value& source, const Path& path, ErrorList& errors) {
  if (source.is_null()) return;
  need(source, {"name", "kind"}, path, errors);
  std::string_view group = source["apiGroup"].as_string();
  std::string_view kind = source["kind"].as_string();
  if (group.empty() && kind != "PersistentVolumeClaim") {
    errors.invalid(path, kind,
                   "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  }
  if (!group.empty()) dns_subdomain(source["apiGroup"], path / "apiGroup", errors);
  const Value& ns = source["namespace"];
  if (!ns.as_string().empty()) dns_label(ns, path / "namespace", errors);
}

void data_sources(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& source = spec["dataSource"];
  const Value& ref = spec["dataSourceRef"];
  data_source(source, path / "dataSource", errors);
  data_source(ref, path / "dataSourceRef", errors);
  if (source.is_null() || ref.is_null()) return;
  Value shown = Value::object();  // upstream shows the path, which has no public member
  if (!ref["namespace"].as_string().empty()) {
    errors.invalid(path, shown, "may not be specified when dataSourceRef.namespace is specified");
  } else if (!(source["apiGroup"] == ref["apiGroup"] && source["kind"] == ref["kind"] &&
               source["name"] == ref["name"])) {
    errors.invalid(path, shown, "must match dataSourceRef");
  }
}

}  // namespace

void claim_spec(const Value& spec, const Path& path, ErrorList& errors) {
  if (spec["accessModes"].empty()) {
    errors.required(path / "accessModes", "at least 1 access mode is required");
  }
  label_selector(spec["selector"], path / "selector", errors);
  access_modes(spec["accessModes"], path / "accessModes", errors);
  const Value* storage = spec["resources"]["requests"].find("storage");
  Path at = (path / "resources").key("storage");
  if (storage == nullptr) {
    errors.required(at);
  } else if (quantity_or_zero(storage->as_string()).sign() <= 0) {
    errors.invalid(at, *storage, "must be greater than zero");
  }
  if (!spec["storageClassName"].as_string().empty()) {
    dns_subdomain(spec["storageClassName"], path / "storageClassName", errors);
  }
  maybe_one_of(spec["volumeMode"], {"Block", "Filesystem"}, path / "volumeMode", errors);
  data_sources(spec, path, errors);
  if (!spec["volumeAttributesClassName"].as_string().empty()) {
    dns_subdomain(spec["volumeAttributesClassName"], path / "volumeAttributesClassName", errors);
  }
}

void claim(const Value& object, ErrorList& errors) {
  claim_spec(object["spec"], Path("spec"), errors);
}

namespace {

constexpr const char* kClassAnnotation = "volume.beta.kubernetes.io/storage-class";

void take_back(Value& spec, const Value& old, const char* member) {
  if (old[member].is_null()) {
    spec.erase(member);
  } else {
    spec.set(member, old[member]);
  }
}

// The new spec with what may change made equal to the old one.
Value masked(const Value& object, const Value& old, ErrorList& errors) {
  Value now = object["spec"];
  const Value& before = old["spec"];
  const Value& had = old["metadata"]["annotations"][kClassAnnotation];
  const Value& has = object["metadata"]["annotations"][kClassAnnotation];
  const Value& name = now["storageClassName"];
  bool named_late = before["storageClassName"].is_null() && !name.is_null();
  bool from_annotation =
      !had.is_null() && named_late && name == had && (has.is_null() || has == had);
  if (from_annotation) {
    now.erase("storageClassName");
  } else {
    if (!same(has, had)) {
      errors.invalid(Path("metadata") / "annotations" / kClassAnnotation, has.as_string(),
                     kImmutable);
    }
    if (named_late && (had.is_null() || name == had)) now.erase("storageClassName");
  }
  if (object["status"]["phase"].as_string() != "Bound") return now;
  if (Value* requests = now.member("resources").find("requests")) {
    take_back(*requests, before["resources"]["requests"], "storage");
  }
  take_back(now, before, "volumeAttributesClassName");
  return now;
}

void class_change(const Value& object, const Value& old, ErrorList& errors) {
  const Value& now = object["spec"]["volumeAttributesClassName"];
  const Value& before = old["spec"]["volumeAttributesClassName"];
  if (now == before || old["status"]["currentVolumeAttributesClassName"].is_null()) return;
  Path path = Path("spec") / "volumeAttributesClassName";
  constexpr std::string_view kWhen =
      " is forbidden when status.currentVolumeAttributesClassName is not nil";
  if (now.is_null()) {
    errors.forbidden(path, "update to nil" + std::string(kWhen));
  } else if (now.as_string().empty()) {
    errors.forbidden(path, "update to empty string" + std::string(kWhen));
  }
}

}  // namespace

void claim_update(const Value& object, const Value& old, ErrorList& errors) {
  metadata_again(object, true, errors);
  claim(object, errors);
  Value now = masked(object, old, errors);
  Value before = old["spec"];
  if (before["volumeName"].as_string().empty()) take_back(before, now, "volumeName");
  if (!(now == before)) {
    errors.forbidden(Path("spec"),
                     "spec is immutable after creation except resources.requests and "
                     "volumeAttributesClassName for bound claims\n" +
                         value_diff(internal_value("", "v1", "PersistentVolumeClaimSpec", before),
                                    internal_value("", "v1", "PersistentVolumeClaimSpec", now)));
  }
  auto storage = [](const Value& amounts) {
    return quantity_or_zero(amounts["storage"].as_string());
  };
  Quantity wanted = storage(object["spec"]["resources"]["requests"]);
  if (wanted < storage(old["spec"]["resources"]["requests"]) &&
      wanted.compare(storage(old["status"]["capacity"])) <= 0) {
    errors.forbidden(Path("spec") / "resources" / "requests" / "storage",
                     "field can not be less than status.capacity");
  }
  immutable(object["spec"]["volumeMode"], old["spec"]["volumeMode"], Path("volumeMode"), errors);
  class_change(object, old, errors);
}

namespace {

bool claim_resource(std::string_view name, const Path& path, ErrorList& errors) {
  Problems problems = check_qualified_name(name);
  errors.invalid_all(path, name, problems);
  if (!problems.empty()) return false;
  if (!is_native_resource(name) || name == "storage") return true;
  errors.not_supported(path, name, {"storage"});
  return false;
}

bool basic_amount(const Value& value, const Path& path, ErrorList& errors) {
  Quantity quantity = quantity_or_zero(value.as_string());
  if (quantity.sign() >= 0) return true;
  errors.invalid(path, quantity.value(), "must be a valid resource quantity");
  return false;
}

}  // namespace

void claim_status(const Value& object, const Value&, ErrorList& errors) {
  if (object["spec"]["accessModes"].empty()) errors.required(Path("Spec") / "accessModes");
  const Value& status = object["status"];
  Path path("status");
  for (auto [name, value] : status["capacity"].members()) {
    basic_amount(value, (path / "capacity").key(name), errors);
  }
  for (auto [name, value] : status["allocatedResourceStatuses"].members()) {
    Path at = path / "allocatedResourceStatuses";
    claim_resource(name, at, errors);
    if (!contains({"ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizePending",
                   "NodeResizeInProgress", "NodeResizeInfeasible"},
                  value.as_string())) {
      errors.not_supported(at, name,
                           {"ControllerResizeInProgress", "ControllerResizeInfeasible",
                            "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"});
    }
  }
  for (auto [name, value] : status["allocatedResources"].members()) {
    Path at = path / "allocatedResources";
    if (claim_resource(name, at, errors)) basic_amount(value, at.key(name), errors);
  }
}

}  // namespace knarr::api::rules
