#include "server/controllers/local_storage.h"

#include "api/view/meta.h"
#include "api/view/volume.h"
#include "base/log.h"
#include "knarr/names.h"

namespace knarr::server {

namespace {

using json::Value;

constexpr const char* kClassName = "local-path";
constexpr const char* kDefaultClass = "storageclass.kubernetes.io/is-default-class";
constexpr const char* kProvisionedBy = "pv.kubernetes.io/provisioned-by";
constexpr const char* kProvisioner = "volume.kubernetes.io/storage-provisioner";
constexpr const char* kVolumeProtection = "kubernetes.io/pv-protection";
constexpr const char* kHostname = "kubernetes.io/hostname";
constexpr size_t kLongestName = 255;  // NAME_MAX
constexpr int64_t kNodeGraceMs = 5 * 60 * 1000;

bool is_ours(std::string_view provisioner) {
  return provisioner == kLocalProvisioner || provisioner == kLocalProvisionerAlias;
}

bool has_finalizer(const Value& object, const char* name) {
  for (const Value& f : object["metadata"]["finalizers"].elements()) {
    if (f.as_string() == name) return true;
  }
  return false;
}

std::string volume_name(const Value& claim) { return "pvc-" + claim["metadata"]["uid"].text(); }

// Says to people in the node's folder whose it is.
std::string folder_name(const Value& claim) {
  const Value& meta = claim["metadata"];
  std::string name = volume_name(claim);
  std::string whole = name + "_" + meta["namespace"].text() + "_" + meta["name"].text();
  return whole.size() <= kLongestName ? whole : name;
}

// hostPath or local, as the claim or else its class says.
std::string volume_type(const Value& claim, const Value& storage_class) {
  const Value& own = claim["metadata"]["annotations"]["volumeType"];
  const Value& of_class = storage_class["metadata"]["annotations"]["defaultVolumeType"];
  return (own.empty() ? of_class : own).text();
}

Value affinity_to(const Value& node) {
  std::string host = node["metadata"]["labels"][kHostname].text();
  Value term = Value::object(
      {{"key", kHostname},
       {"operator", "In"},
       {"values", Value::array({host.empty() ? node["metadata"]["name"] : Value(host)})}});
  Value terms = Value::array({Value::object({{"matchExpressions", Value::array({term})}})});
  return Value::object({{"required", Value::object({{"nodeSelectorTerms", terms}})}});
}

Value default_class(bool is_default) {
  Value notes = Value::object({{kDefaultClass, is_default ? "true" : "false"}});
  return Value::object({{"metadata", Value::object({{"name", kClassName}, {"annotations", notes}})},
                        {"provisioner", kLocalProvisioner},
                        {"reclaimPolicy", "Delete"},
                        {"volumeBindingMode", "WaitForFirstConsumer"}});
}

}  // namespace

std::string local_storage_objection(const Value& claim, const Value& storage_class) {
  const Value& spec = claim["spec"];
  if (!spec["selector"].is_null()) return "claim.Spec.Selector is not supported";
  for (const Value& mode : spec["accessModes"].elements()) {
    if (mode.as_string() == "ReadWriteOnce" || mode.as_string() == "ReadWriteOncePod") continue;
    return "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes";
  }
  if (!spec["dataSource"].is_null() || !spec["dataSourceRef"].is_null()) {
    return "volumes that begin with the content of another are not supported";
  }
  for (json::Member parameter : storage_class["parameters"].members()) {
    return "parameter \"" + std::string(parameter.key) + "\" is not supported";
  }
  std::string type = volume_type(claim, storage_class);
  if (!type.empty() && type != "hostPath" && type != "local") {
    return "\"" + type + "\" is not a recognised volume type";
  }
  return {};
}

Value local_volume(const Value& claim, const Value& storage_class, const Value& node) {
  std::string path = node["metadata"]["annotations"][kLocalStoragePathAnnotation].text() + "/" +
                     folder_name(claim);
  Value meta = Value::object(
      {{"name", volume_name(claim)},
       {"labels", Value::object({{kLocalStorageNodeLabel, node["metadata"]["name"]}})},
       {"annotations", Value::object({{kProvisionedBy, storage_class["provisioner"]}})},
       {"finalizers", Value::array({kLocalStorageFinalizer})}});
  Value spec = Value::object(
      {{"capacity",
        Value::object({{"storage", claim["spec"]["resources"]["requests"]["storage"]}})},
       {"accessModes", claim["spec"]["accessModes"]},
       {"claimRef", api::object_reference(claim)},
       {"persistentVolumeReclaimPolicy", storage_class["reclaimPolicy"].as_string("Delete")},
       {"storageClassName", api::storage_class_of(claim)},
       {"volumeMode", "Filesystem"},
       {"nodeAffinity", affinity_to(node)}});
  if (volume_type(claim, storage_class) == "local") {
    spec.set("local", Value::object({{"path", path}}));
  } else {
    spec.set("hostPath", Value::object({{"path", path}, {"type", "DirectoryOrCreate"}}));
  }
  return Value::object({{"metadata", std::move(meta)}, {"spec", std::move(spec)}});
}

LocalStorageController::LocalStorageController(const ControllerContext& context, bool provisions)
    : Controller(context, kLocalProvisioner), provisions_(provisions) {}

std::vector<GroupResource> LocalStorageController::watches() const {
  if (!provisions_) return {kVolumes.key(), kNodes.key()};
  return {kVolumes.key(), kClaims.key(), kStorageClasses.key(), kNodes.key()};
}

void LocalStorageController::on_started() {
  started_ = true;
  if (!provisions_ || context_.get(kStorageClasses, {"", kClassName}) != nullptr) return;
  bool another = false;
  context_.cache.for_each(kStorageClasses.key(), "", [&](const ObjectRef& object) {
    json::Value value = api::decode(*object);
    another |= value["metadata"]["annotations"][kDefaultClass].as_string() == "true";
    return !another;
  });
  context_.client.call(create_request(kStorageClasses, "", default_class(!another)),
                       [](const Result<ObjectRef>& made) {
                         if (made.ok() || made.error().code == Code::kAlreadyExists) return;
                         base::log(base::Level::kError, "controllers", "StorageClass {}: {}",
                                   kClassName, made.error().message);
                       });
}

void LocalStorageController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                       const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  if (resource == kClaims.key()) {
    if (object != nullptr && object->json.find(kProvisioner) != std::string::npos) {
      enqueue(any->name);
    }
    return;
  }
  if (resource == kVolumes.key()) {
    if (object != nullptr && object->label(kLocalStorageNodeLabel) != nullptr) enqueue(any->name);
    return;
  }
  // A node's status changes often, its coming and going and its folder seldom.
  bool is_node = resource == kNodes.key();
  if (is_node && object != nullptr) missing_since_.erase(object->name.name);
  if (is_node && !started_) return;  // each claim comes by itself
  auto path = [](const ObjectRef& node) {
    return api::decode(*node)["metadata"]["annotations"][kLocalStoragePathAnnotation].text();
  };
  if (is_node && object != nullptr && previous != nullptr && path(object) == path(previous)) return;
  if (provisions_) enqueue_claims();
  if (!is_node || object != nullptr) return;
  context_.cache.for_each(kVolumes.key(), "", [&](const ObjectRef& volume) {
    const std::string* node = volume->label(kLocalStorageNodeLabel);
    if (node != nullptr && *node == any->name.name) enqueue(volume->name);
    return true;
  });
}

void LocalStorageController::enqueue_claims() {
  context_.cache.for_each(kClaims.key(), "", [&](const ObjectRef& claim) {
    bool asks = claim->json.find(kProvisioner) != std::string::npos;
    if (asks && api::decode(*claim)["spec"]["volumeName"].empty()) enqueue(claim->name);
    return true;
  });
}

void LocalStorageController::reconcile(const NamespacedName& key, const PassRef& pass) {
  bool is_volume = key.ns.empty();
  ObjectRef object = context_.get(is_volume ? kVolumes : kClaims, key);
  if (object == nullptr) return;
  Value value = api::decode(*object);
  if (is_volume) return reclaim(pass, value);
  bool asks = is_ours(value["metadata"]["annotations"][kProvisioner].as_string());
  if (asks && !object->deleting && value["spec"]["volumeName"].empty()) provision(pass, value);
}

void LocalStorageController::provision(const PassRef& pass, const Value& claim) {
  std::string class_name = api::storage_class_of(claim);
  ObjectRef found = context_.get(kStorageClasses, {"", class_name});
  if (found == nullptr || context_.get(kVolumes, {"", volume_name(claim)}) != nullptr) return;
  Value storage_class = api::decode(*found);
  std::string provisioner = storage_class["provisioner"].text();
  if (!is_ours(provisioner)) return;
  std::string selected = claim["metadata"]["annotations"][api::kSelectedNode].text();
  bool waits = storage_class["volumeBindingMode"].as_string() == "WaitForFirstConsumer";
  if (waits && selected.empty()) return;
  auto failed = [&](const std::string& why) {
    event(claim, true, "ProvisioningFailed",
          "failed to provision volume with StorageClass \"" + class_name + "\": " + why);
  };
  if (claim["spec"]["volumeMode"].as_string() == "Block") {
    return event(claim, true, "ProvisioningFailed",
                 provisioner + " does not support block volume provisioning");
  }
  ObjectRef node = selected.empty() ? nullptr : context_.get(kNodes, {"", selected});
  if (!selected.empty() && node == nullptr) {
    event(claim, true, "ProvisioningFailed", "nodes \"" + selected + "\" not found");
    return schedule_again(pass, claim);
  }
  event(claim, false, "Provisioning",
        "External provisioner is provisioning volume for claim \"" + pass->key().text() + "\"");
  std::string why = local_storage_objection(claim, storage_class);
  if (!why.empty()) return failed(why);
  if (node == nullptr) return failed("configuration error, no node was specified");
  Value on = api::decode(*node);
  if (on["metadata"]["annotations"][kLocalStoragePathAnnotation].empty()) {
    return failed("node \"" + selected + "\" has no folder for local volumes");
  }
  Value volume = local_volume(claim, storage_class, on);
  std::string name = volume["metadata"]["name"].text();
  pass->write(create_request(kVolumes, "", std::move(volume)),
              [this, pass, claim, name](const Result<ObjectRef>& made) {
                if (made.ok()) {
                  return event(claim, false, "ProvisioningSucceeded",
                               "Successfully provisioned volume " + name);
                }
                if (made.error().code != Code::kAlreadyExists) pass->fail(made.error());
              });
}

// The scheduler chooses another node then.
void LocalStorageController::schedule_again(const PassRef& pass, const Value& claim) {
  Value changed = claim;
  changed.member("metadata").member("annotations").erase(api::kSelectedNode);
  pass->write(update_request(kClaims, changed));
}

int64_t LocalStorageController::grace_left_ms(const std::string& node) {
  int64_t now_ms = context_.clock.monotonic_ms();
  auto since = missing_since_.emplace(node, now_ms).first;
  return since->second + kNodeGraceMs - now_ms;
}

void LocalStorageController::reclaim(const PassRef& pass, const Value& volume) {
  const Value& meta = volume["metadata"];
  if (!is_ours(meta["annotations"][kProvisionedBy].as_string())) return;
  bool to_delete = volume["spec"]["persistentVolumeReclaimPolicy"].as_string() == "Delete";
  if (meta["deletionTimestamp"].is_null()) {
    bool released = volume["status"]["phase"].as_string() == "Released";
    if (released && to_delete) {
      pass->remove(delete_request(kVolumes, pass->key(), meta["uid"].text()));
    }
    return;
  }
  bool protected_still = has_finalizer(volume, kVolumeProtection);
  if (protected_still || !has_finalizer(volume, kLocalStorageFinalizer)) return;
  std::string node = meta["labels"][kLocalStorageNodeLabel].text();
  if (to_delete) {
    if (context_.get(kNodes, {"", node}) != nullptr) return;  // the node does it
    int64_t left_ms = grace_left_ms(node);
    if (left_ms > 0) return pass->again_after_ms(left_ms);
  }
  Value changed = volume;
  Value rest = Value::array();
  for (const Value& f : meta["finalizers"].elements()) {
    if (f.as_string() != kLocalStorageFinalizer) rest.push_back(f);
  }
  changed.member("metadata").set("finalizers", std::move(rest));
  pass->write(update_request(kVolumes, changed));
}

}  // namespace knarr::server
