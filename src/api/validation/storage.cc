// Storage classes and what drivers say of themselves, their nodes and their capacity.
#include "api/validation/storage.h"

#include <map>
#include <set>
#include <vector>

#include "api/validation/internal.h"
#include "api/validation/volume_sources.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kGroup = "storage.k8s.io";

void provisioner(const Value& value, const Path& path, ErrorList& errors) {
  std::string_view name = value.as_string();
  if (name.empty()) return errors.required(path);
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  errors.invalid_all(path, lower, check_qualified_name(lower));
}

void parameters(const Value& value, bool may_be_empty, ErrorList& errors) {
  constexpr size_t kMost = 512;
  constexpr size_t kMaxBytes = 256 * 1024;
  Path path("parameters");
  if (value.size() > kMost) return errors.too_long(path, kMost);
  size_t total = 0;
  for (auto [key, text] : value.members()) {
    if (key.empty()) errors.invalid(path, key, "field can not be empty.");
    total += key.size() + text.as_string().size();
  }
  if (total > kMaxBytes) errors.too_long(path, kMaxBytes);
  if (!may_be_empty && value.empty()) {
    errors.required(path, "must contain at least one key/value pair");
  }
}

using Topology = std::map<std::string_view, std::set<std::string_view>>;

Topology topology_term(const Value& term, const Path& path, ErrorList& errors) {
  Topology out;
  size_t i = 0;
  for (const Value& one : term["matchLabelExpressions"].elements()) {
    Path at = (path / "matchLabelExpressions")[i++];
    std::string_view key = one["key"].as_string();
    std::set<std::string_view> values;
    if (one["values"].empty()) errors.required(at / "values");
    size_t j = 0;
    for (const Value& value : one["values"].elements()) {
      Path where = (at / "values")[j++];
      if (!values.insert(value.as_string()).second) errors.duplicate(where, value);
    }
    errors.invalid_all(at / "key", key, check_qualified_name(key));
    if (!out.emplace(key, std::move(values)).second) errors.duplicate(at / "key", key);
  }
  return out;
}

void topologies(const Value& terms, const Path& path, ErrorList& errors) {
  std::vector<Topology> seen;
  size_t i = 0;
  for (const Value& term : terms.elements()) {
    Path at = path[i++];
    Topology mine = topology_term(term, at, errors);
    for (const Topology& other : seen) {
      if (mine == other) errors.duplicate(at / "matchLabelExpressions", "");
    }
    seen.push_back(std::move(mine));
  }
}

void storage_class(const Value& object, ErrorList& errors) {
  provisioner(object["provisioner"], Path("provisioner"), errors);
  parameters(object["parameters"], true, errors);
  if (!object["reclaimPolicy"].as_string().empty()) {
    maybe_one_of(object["reclaimPolicy"], {"Delete", "Retain"}, Path("reclaimPolicy"), errors);
  }
  const Value& binding = object["volumeBindingMode"];
  if (binding.is_null()) {
    errors.required(Path("volumeBindingMode"));
  } else {
    maybe_one_of(binding, {"Immediate", "WaitForFirstConsumer"}, Path("volumeBindingMode"), errors);
  }
  topologies(object["allowedTopologies"], Path("allowedTopologies"), errors);
}

void storage_class_update(const Value& object, const Value& old, ErrorList& errors) {
  for (const char* member : {"parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"}) {
    immutable(object[member], old[member], Path(member), errors);
  }
}

void token_requests(const Value& requests, const Path& path, ErrorList& errors) {
  std::set<std::string_view> audiences;
  size_t i = 0;
  for (const Value& request : requests.elements()) {
    Path at = path[i++];
    std::string_view audience = request["audience"].as_string();
    if (!audiences.insert(audience).second) {
      errors.duplicate(at / "audience", audience);
      continue;
    }
    const Value& seconds = request["expirationSeconds"];
    if (seconds.is_null()) continue;
    if (seconds.as_int() < 600) {
      errors.invalid(at / "expirationSeconds", seconds,
                     "may not specify a duration less than 10 minutes");
    }
    if (seconds.as_int() > (int64_t{1} << 32)) {
      errors.invalid(at / "expirationSeconds", seconds,
                     "may not specify a duration larger than 2^32 seconds");
    }
  }
}

void driver(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (spec["attachRequired"].is_null()) errors.required(path / "attachedRequired");
  for (const char* member : {"podInfoOnMount", "storageCapacity"}) {
    if (spec[member].is_null()) errors.required(path / member);
  }
  maybe_one_of(spec["fsGroupPolicy"], {"File", "None", "ReadWriteOnceWithFSType"},
               path / "fsGroupPolicy", errors);
  token_requests(spec["tokenRequests"], path / "tokenRequests", errors);
  for (const Value& mode : spec["volumeLifecycleModes"].elements()) {
    maybe_one_of(mode, {"Persistent", "Ephemeral"}, path / "volumeLifecycleModes", errors);
  }
  if (spec["seLinuxMount"].is_null()) errors.required(path / "seLinuxMount");
  const Value& period = spec["nodeAllocatableUpdatePeriodSeconds"];
  if (!period.is_null() && period.as_int() < 10) {
    errors.invalid(path / "nodeAllocatableUpdatePeriodSeconds", period,
                   "must be greater than or equal to 10 seconds");
  }
  const Value& in_secrets = spec["serviceAccountTokenInSecrets"];
  if (!in_secrets.is_null() && spec["tokenRequests"].empty()) {
    errors.invalid(path / "serviceAccountTokenInSecrets", in_secrets,
                   "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
  }
}

void driver_update(const Value& object, const Value& old, ErrorList& errors) {
  driver(object, errors);
  const Value& spec = object["spec"];
  immutable(spec["attachRequired"], old["spec"]["attachRequired"],
            Path("spec") / "attachedRequired", errors);
  immutable(spec["volumeLifecycleModes"], old["spec"]["volumeLifecycleModes"],
            Path("spec") / "volumeLifecycleModes", errors);
}

void attributes_class(const Value& object, ErrorList& errors) {
  provisioner(object["driverName"], Path("driverName"), errors);
  parameters(object["parameters"], false, errors);
}

void attributes_class_update(const Value& object, const Value& old, ErrorList& errors) {
  if (!same(object["driverName"], old["driverName"])) {
    errors.forbidden(Path("driverName"), "updates to driverName are forbidden.");
  }
  if (!same(object["parameters"], old["parameters"])) {
    errors.forbidden(Path("parameters"), "updates to parameters are forbidden.");
  }
}

void capacity(const Value& object, ErrorList& errors) {
  label_selector(object["nodeTopology"], Path("nodeTopology"), errors);
  dns_subdomain(object["storageClassName"], Path("storageClassName"), errors);
  if (!object["capacity"].is_null()) {
    quantity_not_negative(object["capacity"], Path("capacity"), errors);
  }
}

void capacity_update(const Value& object, const Value& old, ErrorList& errors) {
  immutable(object["nodeTopology"], old["nodeTopology"], Path("nodeTopology"), errors);
  immutable(object["storageClassName"], old["storageClassName"], Path("storageClassName"), errors);
}

void volume_error(const Value& error, const Path& path, ErrorList& errors) {
  constexpr size_t kMaxMessage = 1024;
  constexpr int64_t kSaid = 256 * 1024;  // upstream names another bound than it asks for
  if (error["message"].as_string().size() > kMaxMessage) errors.too_long(path / "message", kSaid);
  const Value& code = error["errorCode"];
  if (!code.is_null() && code.as_int() < 0) {
    errors.invalid(path / "errorCode", code, "must be between 0 and 2147483647, inclusive");
  }
}

void attachment(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  csi_driver_name(spec["attacher"], path / "attacher", errors);
  const Value& name = spec["source"]["persistentVolumeName"];
  const Value& inlined = spec["source"]["inlineVolumeSpec"];
  Path at = path / "source";
  constexpr std::string_view kOne =
      "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
  if (name.is_null() && inlined.is_null()) {
    errors.required(at, kOne);
  } else if (!name.is_null() && !inlined.is_null()) {
    errors.forbidden(at, kOne);
  } else if (!inlined.is_null()) {
    volume_spec(inlined, true, at / "inlineVolumeSpec", errors);
  } else if (name.as_string().empty()) {
    errors.required(at / "persistentVolumeName", "must specify non empty persistentVolumeName");
  }
  dns_subdomain(spec["nodeName"], path / "nodeName", errors);
  for (const char* member : {"attachError", "detachError"}) {
    volume_error(object["status"][member], Path("status") / member, errors);
  }
  if (!name.is_null()) dns_subdomain(name, Path("spec.source.persistentVolumeName"), errors);
}

void attachment_update(const Value& object, const Value& old, ErrorList& errors) {
  if (object["spec"] == old["spec"]) return;
  errors.invalid(Path("spec"), internal_value(kGroup, "v1", "VolumeAttachmentSpec", object["spec"]),
                 kImmutable);
}

void node_driver(const Value& driver, std::set<std::string_view>& names, const Path& path,
                 ErrorList& errors) {
  constexpr size_t kMaxId = 256;
  csi_driver_name(driver["name"], path / "name", errors);
  need(driver, {"nodeID"}, path, errors);
  if (driver["nodeID"].as_string().size() > kMaxId) {
    errors.invalid(path / "nodeID", driver["nodeID"], "must be 256 characters or less");
  }
  not_negative(driver["allocatable"]["count"], path / "allocatable" / "count", errors);
  if (!names.insert(driver["name"].as_string()).second) {
    errors.duplicate(path / "name", driver["name"]);
  }
  std::set<std::string_view> keys;
  for (const Value& key : driver["topologyKeys"].elements()) {
    if (key.as_string().empty()) errors.required(path);
    if (!keys.insert(key.as_string()).second) errors.duplicate(path, key);
    qualified_name(key, path, errors);
  }
}

void csi_node(const Value& object, ErrorList& errors) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& driver : object["spec"]["drivers"].elements()) {
    node_driver(driver, names, (Path("spec") / "drivers")[i++], errors);
  }
}

void csi_node_update(const Value& object, const Value& old, ErrorList& errors) {
  for (const Value& before : old["spec"]["drivers"].elements()) {
    for (const Value& now : object["spec"]["drivers"].elements()) {
      if (!(now["name"] == before["name"])) continue;
      Value a = now;
      Value b = before;
      a.erase("allocatable");
      b.erase("allocatable");
      if (a == b) continue;
      errors.invalid(Path("spec") / "drivers", internal_value(kGroup, "v1", "CSINodeDriver", a),
                     kImmutable);
    }
  }
}

constexpr KindRules kRules[] = {
    {"", "PersistentVolume", name_is_dns_subdomain, volume, volume_update, nullptr, nullptr,
     kCreateFirst | kNoMetaUpdate},
    {"", "PersistentVolumeClaim", name_is_dns_subdomain, claim, claim_update, claim_status},
    {kGroup, "StorageClass", name_is_dns_subdomain, storage_class, storage_class_update, nullptr,
     nullptr, kCreateFirst},
    {kGroup, "CSIDriver", name_is_dns_subdomain, driver, driver_update, nullptr},
    {kGroup, "CSINode", name_is_dns_subdomain, csi_node, csi_node_update, nullptr, nullptr,
     kCreateFirst | kNoMetaUpdate},
    {kGroup, "CSIStorageCapacity", name_is_dns_subdomain, capacity, capacity_update, nullptr,
     nullptr, kCreateFirst},
    {kGroup, "VolumeAttachment", name_is_dns_subdomain, attachment, attachment_update, nullptr,
     nullptr, kCreateFirst | kNoMetaUpdate},
    {kGroup, "VolumeAttributesClass", name_is_dns_subdomain, attributes_class,
     attributes_class_update, nullptr, nullptr, kCreateLast},
};

}  // namespace

std::span<const KindRules> storage_rules() { return kRules; }

}  // namespace knarr::api::rules
