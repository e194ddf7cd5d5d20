// The claims' half of the volume controller.

#include "api/view/meta.h"
#include "api/view/volume.h"
#include "server/controllers/persistent_volume.h"

namespace knarr::server {

namespace {

constexpr const char* kProvisioner = "volume.kubernetes.io/storage-provisioner";
constexpr const char* kProvisionerBeta = "volume.beta.kubernetes.io/storage-provisioner";

bool is_default_class(const json::Value& storage_class) {
  const json::Value& notes = storage_class["metadata"]["annotations"];
  return notes["storageclass.kubernetes.io/is-default-class"].as_string() == "true" ||
         notes["storageclass.beta.kubernetes.io/is-default-class"].as_string() == "true";
}

// The newest of the default classes, then the first by name; empty: there is none.
std::string default_class(const Cache& cache) {
  std::string best, best_time;
  cache.for_each(kStorageClasses.key(), "", [&](const ObjectRef& object) {
    json::Value value = api::decode(*object);
    std::string time = value["metadata"]["creationTimestamp"].text();
    if (is_default_class(value) && (best.empty() || time > best_time)) {
      best = object->name.name;
      best_time = time;
    }
    return true;
  });
  return best;
}

bool names_no_class(const json::Value& claim) {
  return !claim["spec"].has("storageClassName") && api::storage_class_of(claim).empty();
}

}  // namespace

bool VolumeController::waits_for_consumer(const json::Value& claim) const {
  std::string name = api::storage_class_of(claim);
  ObjectRef object = name.empty() ? nullptr : context_.get(kStorageClasses, {"", name});
  return object != nullptr &&
         api::decode(*object)["volumeBindingMode"].as_string() == "WaitForFirstConsumer";
}

void VolumeController::sync_unbound(const PassRef& pass, const json::Value& claim) {
  std::string wanted = claim["spec"]["volumeName"].text();
  if (wanted.empty()) return find_and_bind(pass, claim);
  ObjectRef object = context_.get(kVolumes, {"", wanted});
  if (object == nullptr) return set_claim_phase(pass, claim, "Pending", nullptr);
  json::Value volume = api::decode(*object);
  if (volume["spec"]["claimRef"].is_null()) {
    std::string why = api::claim_mismatch(volume, claim);
    if (why.empty()) return bind(pass, volume, claim);
    event(claim, true, "VolumeMismatch",
          "Cannot bind to requested volume \"" + wanted + "\": " + why);
    return set_claim_phase(pass, claim, "Pending", nullptr);
  }
  if (api::is_bound_to(volume, claim)) return bind(pass, volume, claim);
  event(claim, true, "FailedBinding",
        "volume \"" + wanted + "\" already bound to a different claim.");
  set_claim_phase(pass, claim, "Pending", nullptr);
}

void VolumeController::find_and_bind(const PassRef& pass, const json::Value& claim) {
  std::vector<json::Value> volumes;
  context_.cache.for_each(kVolumes.key(), "", [&](const ObjectRef& v) {
    volumes.push_back(api::decode(*v));
    return true;
  });
  api::VolumeChoice choice;
  choice.delayed = waits_for_consumer(claim);
  std::string found = api::find_volume(volumes, claim, choice);
  for (const json::Value& v : volumes) {
    if (!found.empty() && v["metadata"]["name"].as_string() == found) return bind(pass, v, claim);
  }
  if (names_no_class(claim)) {
    if (std::string name = default_class(context_.cache); !name.empty()) {
      json::Value changed = claim;
      changed.member("spec").set("storageClassName", name);
      return pass->write(update_request(kClaims, changed));
    }
  }
  if (choice.delayed && !claim["metadata"]["annotations"].has(api::kSelectedNode)) {
    std::string pods = unscheduled_consumers(claim);
    event(claim, false, pods.empty() ? "WaitForFirstConsumer" : "WaitForPodScheduled",
          pods.empty() ? "waiting for first consumer to be created before binding"
                       : "waiting for " + pods + " to be scheduled");
  } else if (!api::storage_class_of(claim).empty()) {
    return ask_for_provisioning(pass, claim);
  } else {
    event(claim, false, "FailedBinding",
          "no persistent volumes available for this claim and no storage class is set");
  }
  set_claim_phase(pass, claim, "Pending", nullptr);
}

// "pod a" or "pods a,b": those that use the claim and have no node yet.
std::string VolumeController::unscheduled_consumers(const json::Value& claim) const {
  std::string name = claim["metadata"]["name"].text();
  std::string names;
  bool several = false;
  context_.cache.for_each(kPods.key(), claim["metadata"]["namespace"].text(),
                          [&](const ObjectRef& pod) {
                            const std::string* node = pod->field("spec.nodeName");
                            if (node != nullptr && !node->empty()) return true;
                            if (pod->json.find(name) == std::string::npos) return true;
                            json::Value value = api::decode(*pod);
                            for (const json::Value& v : value["spec"]["volumes"].elements()) {
                              if (!(v["persistentVolumeClaim"]["claimName"] == name)) continue;
                              several = !names.empty();
                              names += (several ? "," : "") + pod->name.name;
                              break;
                            }
                            return true;
                          });
  if (names.empty()) return {};
  return (several ? "pods " : "pod ") + names;
}

// A provisioner outside sees its name on the claim, makes a volume, and reserves it for the claim.
void VolumeController::ask_for_provisioning(const PassRef& pass, const json::Value& claim) {
  std::string name = api::storage_class_of(claim);
  ObjectRef object = context_.get(kStorageClasses, {"", name});
  if (object == nullptr) {
    return event(claim, true, "ProvisioningFailed",
                 "storageclass.storage.k8s.io \"" + name + "\" not found");
  }
  std::string provisioner = api::decode(*object)["provisioner"].text();
  if (provisioner.compare(0, 14, "kubernetes.io/") == 0) {
    return event(claim, true, "ProvisioningFailed",
                 "no volume plugin matched name: " + provisioner);
  }
  event(claim, false, "ExternalProvisioning",
        "Waiting for a volume to be created either by the external provisioner '" + provisioner +
            "' or manually by the system administrator. If volume creation is delayed, please "
            "verify that the provisioner is running and correctly registered.");
  const json::Value& notes = claim["metadata"]["annotations"];
  if (notes[kProvisioner] == provisioner && notes[kProvisionerBeta] == provisioner) return;
  json::Value changed = claim;
  json::Value& marks = changed.member("metadata").member("annotations");
  marks.set(kProvisionerBeta, provisioner).set(kProvisioner, provisioner);
  pass->write(update_request(kClaims, changed));
}

void VolumeController::sync_bound(const PassRef& pass, const json::Value& claim) {
  std::string name = claim["spec"]["volumeName"].text();
  if (name.empty()) {
    return lose(pass, claim, "ClaimLost",
                "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
  }
  ObjectRef object = context_.get(kVolumes, {"", name});
  if (object == nullptr) {
    return lose(pass, claim, "ClaimLost",
                "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
  }
  json::Value volume = api::decode(*object);
  const json::Value& ref = volume["spec"]["claimRef"];
  if (ref.is_null() || ref["uid"] == claim["metadata"]["uid"]) return bind(pass, volume, claim);
  lose(pass, claim, "ClaimMisbound",
       "Two claims are bound to the same volume, this one is bound incorrectly");
}

void VolumeController::lose(const PassRef& pass, const json::Value& claim, const char* reason,
                            const char* message) {
  if (claim["status"]["phase"].as_string() == "Lost") return;
  event(claim, true, reason, message);
  set_claim_phase(pass, claim, "Lost", nullptr);
}

void VolumeController::bind(const PassRef& pass, const json::Value& volume,
                            const json::Value& claim) {
  auto rest = [this, pass, claim](const json::Value& stored) {
    set_volume_phase(pass, stored, "Bound", {},
                     [this, pass, claim](const json::Value& v) { bind_claim(pass, v, claim); });
  };
  json::Value changed = volume;
  if (!api::refer_to_claim(changed, claim)) return rest(volume);
  store(pass, update_request(kVolumes, changed), rest);
}

void VolumeController::bind_claim(const PassRef& pass, const json::Value& volume,
                                  const json::Value& claim) {
  json::Value changed = claim;
  const json::Value& name = volume["metadata"]["name"];
  json::Value& notes = changed.member("metadata").member("annotations");
  if (!(claim["spec"]["volumeName"] == name)) {
    changed.member("spec").set("volumeName", name);
    notes.set(api::kBoundByController, "yes");
  }
  if (!notes.has(api::kBindCompleted)) notes.set(api::kBindCompleted, "yes");
  if (changed == claim) return set_claim_phase(pass, claim, "Bound", &volume);
  store(pass, update_request(kClaims, changed), [this, pass, volume](const json::Value& stored) {
    set_claim_phase(pass, stored, "Bound", &volume);
  });
}

void VolumeController::set_claim_phase(const PassRef& pass, const json::Value& claim,
                                       const char* phase, const json::Value* volume) {
  json::Value changed = claim;
  json::Value& status = changed.member("status");
  bool becomes = status["phase"].as_string() != phase;
  status.set("phase", phase);
  if (volume == nullptr) {
    status.erase("accessModes");
    status.erase("capacity");
  } else {
    const json::Value& spec = (*volume)["spec"];
    if (!(status["accessModes"] == spec["accessModes"])) {
      status.set("accessModes", spec["accessModes"]);
    }
    // Later it is whoever resizes the volume that says so.
    if (becomes) {
      status.set("capacity", json::Value::object({{"storage", spec["capacity"]["storage"]}}));
    }
    const json::Value& attributes = spec["volumeAttributesClassName"];
    if (attributes.is_null()) {
      status.erase("currentVolumeAttributesClassName");
    } else {
      status.set("currentVolumeAttributesClassName", attributes);
    }
  }
  if (changed == claim) return;
  pass->write(update_request(kClaims, changed, "status"));
}

}  // namespace knarr::server
