#include "server/controllers/persistent_volume.h"

#include "api/view/meta.h"
#include "api/view/volume.h"

namespace knarr::server {

namespace {

constexpr const char* kProvisionedBy = "pv.kubernetes.io/provisioned-by";
constexpr const char* kMigratedTo = "pv.kubernetes.io/migrated-to";
// A claim that waits for a volume is looked at again this long after a volume came or became free.
// Upstream does not tell the one of the other either: it looks at all claims every 15 s.
constexpr int64_t kSecondLookMs = 3000;

}  // namespace

VolumeController::VolumeController(const ControllerContext& context)
    : Controller(context, "persistentvolume-controller", 1) {}

std::vector<GroupResource> VolumeController::watches() const {
  return {kVolumes.key(), kClaims.key(), kStorageClasses.key()};
}

void VolumeController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                 const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  if (resource.resource == kClaims.plural) {
    enqueue(any->name);
    // A claim that goes leaves its volume behind, or was never seen by it.
    if (object != nullptr) return;
    std::string volume = api::decode(*previous)["spec"]["volumeName"].text();
    if (!volume.empty()) enqueue({"", volume});
    context_.cache.for_each(kVolumes.key(), "", [&](const ObjectRef& v) {
      if (v->json.find(previous->uid) != std::string::npos) enqueue(v->name);
      return true;
    });
    return;
  }
  bool is_volume = resource.resource == kVolumes.plural;
  if (is_volume) enqueue(any->name);
  context_.cache.for_each(kClaims.key(), "", [&](const ObjectRef& claim) {
    json::Value value = api::decode(*claim);
    if (is_volume && object == nullptr && value["spec"]["volumeName"] == any->name.name) {
      enqueue(claim->name);
    } else if (!value["metadata"]["annotations"].has(api::kBindCompleted)) {
      queue().add_after(claim->name, kSecondLookMs);
    }
    return true;
  });
}

void VolumeController::reconcile(const NamespacedName& key, const PassRef& pass) {
  bool is_volume = key.ns.empty();
  ObjectRef object = context_.get(is_volume ? kVolumes : kClaims, key);
  if (object == nullptr) return;
  json::Value value = api::decode(*object);
  if (is_volume) return sync_volume(pass, value);
  if (value["metadata"]["annotations"].has(api::kBindCompleted)) return sync_bound(pass, value);
  sync_unbound(pass, value);
}

void VolumeController::store(const PassRef& pass, client::Request request, Next then) {
  pass->write(std::move(request), [pass, then = std::move(then)](Result<ObjectRef> answer) {
    if (!answer.ok()) return pass->fail(answer.error());
    if (then) then(api::decode(**answer));
  });
}

void VolumeController::sync_volume(const PassRef& pass, const json::Value& volume) {
  const json::Value& ref = volume["spec"]["claimRef"];
  if (ref.is_null() || ref["uid"].as_string().empty()) {
    return set_volume_phase(pass, volume, "Available");
  }
  ObjectRef object = context_.get(kClaims, {ref["namespace"].text(), ref["name"].text()});
  std::string phase = volume["status"]["phase"].text();
  bool over = phase == "Released" || phase == "Failed";
  if (object == nullptr || object->uid != ref["uid"].as_string()) {
    if (over) return reclaim(pass, volume);
    return set_volume_phase(pass, volume, "Released", {},
                            [this, pass](const json::Value& stored) { reclaim(pass, stored); });
  }
  json::Value claim = api::decode(*object);
  std::string bound_to = claim["spec"]["volumeName"].text();
  if (bound_to.empty()) {
    if (!api::volume_modes_differ(volume, claim)) return enqueue(object->name);
    event(volume, true, "VolumeMismatch",
          "Cannot bind PersistentVolume to requested PersistentVolumeClaim \"" + object->name.name +
              "\" due to incompatible volumeMode.");
    return event(claim, true, "VolumeMismatch",
                 "Cannot bind PersistentVolume \"" + pass->key().name +
                     "\" to requested PersistentVolumeClaim due to incompatible volumeMode.");
  }
  if (bound_to == pass->key().name) return set_volume_phase(pass, volume, "Bound");
  bool made_for_it = volume["metadata"]["annotations"].has(kProvisionedBy) &&
                     volume["spec"]["persistentVolumeReclaimPolicy"].as_string() == "Delete";
  if (!made_for_it) return unbind(pass, volume);
  if (over) return reclaim(pass, volume);
  set_volume_phase(pass, volume, "Released", {},
                   [this, pass](const json::Value& stored) { reclaim(pass, stored); });
}

// The claim was bound elsewhere.
void VolumeController::unbind(const PassRef& pass, const json::Value& volume) {
  json::Value changed = volume;
  json::Value& notes = changed.member("metadata").member("annotations");
  if (notes.has(api::kBoundByController)) {
    changed.member("spec").erase("claimRef");
    notes.erase(api::kBoundByController);
  } else {
    changed.member("spec").member("claimRef").erase("uid");
  }
  if (notes.empty()) changed.member("metadata").erase("annotations");
  store(pass, update_request(kVolumes, changed),
        [this, pass](const json::Value& stored) { set_volume_phase(pass, stored, "Available"); });
}

void VolumeController::reclaim(const PassRef& pass, const json::Value& volume) {
  const json::Value& notes = volume["metadata"]["annotations"];
  if (notes.has(kMigratedTo)) return;
  std::string policy = volume["spec"]["persistentVolumeReclaimPolicy"].text();
  if (policy == "Retain") return;
  if (policy == "Recycle") {
    return fail_volume(pass, volume, "VolumeFailedRecycle",
                       "No recycler plugin found for the volume!");
  }
  if (policy != "Delete") {
    return fail_volume(pass, volume, "VolumeUnknownReclaimPolicy",
                       "Volume has an unrecognized PersistentVolumeReclaimPolicy");
  }
  // Whoever provisioned it deletes it, and the object after that.
  if (notes.has(kProvisionedBy) || volume["spec"].has("csi")) return;
  if (volume["spec"].has("hostPath")) {
    std::string path = volume["spec"]["hostPath"]["path"].text();
    std::string message =
        path.size() > 5 && path.compare(0, 5, "/tmp/") == 0
            ? "host_path deleter is not enabled: " + path + " is left as it is"
            : "host_path deleter only supports /tmp/.+ but received provided " + path;
    return fail_volume(pass, volume, "VolumeFailedDelete", message);
  }
  fail_volume(pass, volume, "VolumeFailedDelete",
              "error getting deleter volume plugin for volume \"" + pass->key().name +
                  "\": no deletable volume plugin matched");
}

void VolumeController::fail_volume(const PassRef& pass, const json::Value& volume,
                                   const char* reason, const std::string& message) {
  if (volume["status"]["phase"].as_string() == "Failed") return;
  event(volume, true, reason, message);
  set_volume_phase(pass, volume, "Failed", message);
}

void VolumeController::set_volume_phase(const PassRef& pass, const json::Value& volume,
                                        const char* phase, const std::string& message, Next then) {
  if (volume["status"]["phase"].as_string() == phase) {
    if (then) then(volume);
    return;
  }
  json::Value changed = volume;
  json::Value& status = changed.member("status");
  status.set("phase", phase);
  if (message.empty()) {
    status.erase("message");
  } else {
    status.set("message", message);
  }
  store(pass, update_request(kVolumes, changed, "status"), std::move(then));
}

}  // namespace knarr::server
