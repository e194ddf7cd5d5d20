// Volumes, claims, classes and drivers.
#include <set>

#include "api/validation/rules.h"

namespace knarr::api::rules {

void access_modes(const Value& modes, const Path& path, ErrorList& errors) {
  bool once = false;
  for (const Value& mode : modes.elements()) {
    maybe_one_of(mode, {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"}, path,
                 errors);
    once |= mode.as_string() == "ReadWriteOncePod";
  }
  if (once && modes.size() > 1) {
    errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
  }
}

namespace {

void volume(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (spec["accessModes"].empty()) errors.required(path / "accessModes");
  access_modes(spec["accessModes"], path / "accessModes", errors);
  if (spec["capacity"].empty()) errors.required(path / "capacity");
  if (!spec["capacity"].empty() &&
      (!spec["capacity"].has("storage") || spec["capacity"].size() > 1)) {
    errors.not_supported(path / "capacity", spec["capacity"], {"storage"});
  }
  for (auto [name, value] : spec["capacity"].members()) {
    Path at = (path / "capacity").key(name);
    Quantity quantity = quantity_or_zero(value.as_string());
    if (quantity.sign() < 0)
      errors.invalid(at, quantity.value(), "must be a valid resource quantity");
    if (quantity.sign() <= 0) errors.invalid(at, value, "must be greater than zero");
  }
  if (!spec["persistentVolumeReclaimPolicy"].as_string().empty()) {
    maybe_one_of(spec["persistentVolumeReclaimPolicy"], {"Delete", "Recycle", "Retain"},
                 path / "persistentVolumeReclaimPolicy", errors);
  }
  const Value& affinity = spec["nodeAffinity"];
  if (!affinity.is_null()) {
    if (affinity["required"].is_null()) {
      errors.required(path / "nodeAffinity" / "required", "must specify required node constraints");
    } else {
      node_selector(affinity["required"], path / "nodeAffinity" / "required", errors);
    }
  }
  if (volume_sources(spec, path, errors) == 0) errors.required(path, "must specify a volume type");
  const Value& host = spec["hostPath"];
  bool root = host["path"].as_string() == "/";
  if (root && spec["persistentVolumeReclaimPolicy"].as_string() == "Recycle") {
    errors.forbidden(path / "persistentVolumeReclaimPolicy",
                     "may not be 'recycle' for a hostPath mount of '/'");
  }
  if (!spec["storageClassName"].as_string().empty()) {
    dns_subdomain(spec["storageClassName"], path / "storageClassName", errors);
  }
  maybe_one_of(spec["volumeMode"], {"Block", "Filesystem"}, path / "volumeMode", errors);
}

// The members of a spec that say where the bytes are.
Value source_of(const Value& spec) {
  Value out = spec;
  for (const char* member :
       {"capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName",
        "mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName"}) {
    out.erase(member);
  }
  return out;
}

void volume_update(const Value& object, const Value& old, ErrorList& errors) {
  volume(object, errors);
  Path path("spec");
  const Value& spec = object["spec"];
  if (!(source_of(spec) == source_of(old["spec"]))) {
    errors.forbidden(path / "persistentvolumesource",
                     "spec.persistentvolumesource is immutable after creation");
  }
  immutable(spec["volumeMode"], old["spec"]["volumeMode"], path / "volumeMode", errors);
  if (!old["spec"]["nodeAffinity"].is_null()) {
    immutable(spec["nodeAffinity"], old["spec"]["nodeAffinity"], path / "nodeAffinity", errors);
  }
}

void claim_spec(const Value& spec, const Path& path, ErrorList& errors) {
  if (spec["accessModes"].empty()) {
    errors.required(path / "accessModes", "at least 1 access mode is required");
  }
  label_selector(spec["selector"], path / "selector", errors);
  access_modes(spec["accessModes"], path / "accessModes", errors);
  const Value& requests = spec["resources"]["requests"];
  Path at = path / "resources";
  if (!requests.has("storage")) {
    errors.required(at.key("storage"));
  } else {
    Quantity storage = quantity_or_zero(requests["storage"].as_string());
    if (storage.sign() <= 0) {
      errors.invalid(at.key("storage"), requests["storage"], "must be greater than zero");
    }
  }
  if (!spec["storageClassName"].as_string().empty()) {
    dns_subdomain(spec["storageClassName"], path / "storageClassName", errors);
  }
  maybe_one_of(spec["volumeMode"], {"Block", "Filesystem"}, path / "volumeMode", errors);
}

void claim(const Value& object, ErrorList& errors) {
  claim_spec(object["spec"], Path("spec"), errors);
}

void claim_update(const Value& object, const Value& old, ErrorList& errors) {
  claim(object, errors);
  Value now = object["spec"];
  const Value& before = old["spec"];
  Quantity wanted = quantity_or_zero(now["resources"]["requests"]["storage"].as_string());
  Quantity had = quantity_or_zero(before["resources"]["requests"]["storage"].as_string());
  bool bound = old["status"]["phase"].as_string() == "Bound";
  if (bound && now["resources"].is_object() && before["resources"].is_object()) {
    now.set("resources", before["resources"]);
  }
  for (const char* member : {"volumeName", "storageClassName", "dataSource"}) {
    if (before[member].as_string().empty() && before[member].is_null()) now.erase(member);
  }
  if (before.has("volumeAttributesClassName")) {
    now.set("volumeAttributesClassName", before["volumeAttributesClassName"]);
  } else {
    now.erase("volumeAttributesClassName");
  }
  if (!(now == before)) {
    errors.forbidden(Path("spec"),
                     "spec is immutable after creation except resources.requests and "
                     "volumeAttributesClassName for bound claims");
  } else if (bound && wanted < had) {
    errors.forbidden(Path("spec") / "resources" / "requests" / "storage",
                     "field can not be less than status.capacity");
  }
}

void storage_class(const Value& object, ErrorList& errors) {
  std::string_view provisioner = object["provisioner"].as_string();
  if (provisioner.empty()) {
    errors.required(Path("provisioner"));
  } else {
    std::string lower(provisioner);
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    errors.invalid_all(Path("provisioner"), provisioner, check_qualified_name(lower));
  }
  for (auto [key, value] : object["parameters"].members()) {
    if (key.empty()) errors.invalid(Path("parameters"), key, "field can not be empty.");
  }
  maybe_one_of(object["reclaimPolicy"], {"Delete", "Retain"}, Path("reclaimPolicy"), errors);
  const Value& binding = object["volumeBindingMode"];
  if (binding.is_null()) {
    errors.required(Path("volumeBindingMode"));
  } else {
    maybe_one_of(binding, {"Immediate", "WaitForFirstConsumer"}, Path("volumeBindingMode"), errors);
  }
}

void storage_class_update(const Value& object, const Value& old, ErrorList& errors) {
  storage_class(object, errors);
  if (!same(object["parameters"], old["parameters"])) {
    errors.forbidden(Path("parameters"), "updates to parameters are forbidden.");
  }
  if (!same(object["provisioner"], old["provisioner"])) {
    errors.forbidden(Path("provisioner"), "updates to provisioner are forbidden.");
  }
  if (!same(object["reclaimPolicy"], old["reclaimPolicy"])) {
    errors.forbidden(Path("reclaimPolicy"), "updates to reclaimPolicy are forbidden.");
  }
  immutable(object["volumeBindingMode"], old["volumeBindingMode"], Path("volumeBindingMode"),
            errors);
}

void driver(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  for (const char* member : {"attachRequired", "podInfoOnMount", "storageCapacity"}) {
    if (spec[member].is_null()) errors.required(path / member);
  }
  size_t i = 0;
  for (const Value& mode : spec["volumeLifecycleModes"].elements()) {
    maybe_one_of(mode, {"Ephemeral", "Persistent"}, (path / "volumeLifecycleModes")[i++], errors);
  }
  maybe_one_of(spec["fsGroupPolicy"], {"ReadWriteOnceWithFSType", "File", "None"},
               path / "fsGroupPolicy", errors);
  std::set<std::string_view> audiences;
  i = 0;
  for (const Value& request : spec["tokenRequests"].elements()) {
    Path at = (path / "tokenRequests")[i++];
    if (!audiences.insert(request["audience"].as_string()).second) {
      errors.duplicate(at / "audience", request["audience"].as_string());
    }
    const Value& seconds = request["expirationSeconds"];
    if (!seconds.is_null() && seconds.as_int() < 600) {
      errors.invalid(at / "expirationSeconds", seconds,
                     "may not specify a duration less than 10 minutes");
    }
  }
}

void driver_update(const Value& object, const Value& old, ErrorList& errors) {
  driver(object, errors);
  for (const char* member : {"attachRequired", "volumeLifecycleModes"}) {
    immutable(object["spec"][member], old["spec"][member], Path("spec") / member, errors);
  }
}

void attributes_class(const Value& object, ErrorList& errors) {
  if (object["driverName"].as_string().empty()) {
    errors.required(Path("driverName"));
  } else if (object["driverName"].as_string().size() > 63) {
    errors.too_long(Path("driverName"), 63);
  }
  if (object["parameters"].empty()) {
    errors.required(Path("parameters"), "must contain at least one key/value pair");
  }
}

void attributes_class_update(const Value& object, const Value& old, ErrorList& errors) {
  attributes_class(object, errors);
  if (!same(object["driverName"], old["driverName"])) {
    errors.forbidden(Path("driverName"), "updates to driverName are forbidden.");
  }
  if (!same(object["parameters"], old["parameters"])) {
    errors.forbidden(Path("parameters"), "updates to parameters are forbidden.");
  }
}

void capacity(const Value& object, ErrorList& errors) {
  const Value& name = object["storageClassName"];
  errors.invalid_all(Path("storageClassName"), name.as_string(),
                     check_dns1123_subdomain(name.as_string()));
  for (const char* member : {"capacity", "maximumVolumeSize"}) {
    if (!object[member].is_null()) quantity_not_negative(object[member], Path(member), errors);
  }
  label_selector(object["nodeTopology"], Path("nodeTopology"), errors);
}

void capacity_update(const Value& object, const Value& old, ErrorList& errors) {
  capacity(object, errors);
  immutable(object["nodeTopology"], old["nodeTopology"], Path("nodeTopology"), errors);
  immutable(object["storageClassName"], old["storageClassName"], Path("storageClassName"), errors);
}

void attachment(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (spec["attacher"].as_string().empty()) errors.required(path / "attacher");
  if (spec["nodeName"].as_string().empty()) errors.required(path / "nodeName");
  const Value& source = spec["source"];
  bool inlined = !source["inlineVolumeSpec"].is_null();
  if (source["persistentVolumeName"].is_null() && !inlined) {
    errors.required(path / "source",
                    "must specify exactly one of inlineVolumeSpec and "
                    "persistentVolumeName");
  }
}

void attachment_update(const Value& object, const Value& old, ErrorList& errors) {
  attachment(object, errors);
  immutable(object["spec"], old["spec"], Path("spec"), errors);
}

void csi_node(const Value& object, ErrorList& errors) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& driver : object["spec"]["drivers"].elements()) {
    Path at = (Path("spec") / "drivers")[i++];
    if (driver["name"].as_string().empty()) errors.required(at / "name");
    if (driver["nodeID"].as_string().empty()) errors.required(at / "nodeID");
    if (!names.insert(driver["name"].as_string()).second) {
      errors.duplicate(at / "name", driver["name"]);
    }
  }
}

constexpr std::string_view kGroup = "storage.k8s.io";
constexpr KindRules kRules[] = {
    {"", "PersistentVolume", name_is_dns_subdomain, volume, volume_update, nullptr},
    {"", "PersistentVolumeClaim", name_is_dns_subdomain, claim, claim_update, nullptr},
    {kGroup, "StorageClass", name_is_dns_subdomain, storage_class, storage_class_update, nullptr},
    {kGroup, "CSIDriver", name_is_dns_subdomain, driver, driver_update, nullptr},
    {kGroup, "CSINode", name_is_dns_subdomain, csi_node, nullptr, nullptr},
    {kGroup, "CSIStorageCapacity", name_is_dns_subdomain, capacity, capacity_update, nullptr},
    {kGroup, "VolumeAttachment", name_is_dns_subdomain, attachment, attachment_update, nullptr},
    {kGroup, "VolumeAttributesClass", name_is_dns_subdomain, attributes_class,
     attributes_class_update, nullptr},
};

}  // namespace

std::span<const KindRules> storage_rules() { return kRules; }

}  // namespace knarr::api::rules
