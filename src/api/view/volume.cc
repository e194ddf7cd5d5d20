#include "api/view/volume.h"

#include "api/quantity.h"
#include "api/view/meta.h"
#include "api/view/placement.h"

namespace knarr::api {

namespace {

constexpr const char* kOldClass = "volume.beta.kubernetes.io/storage-class";

Quantity capacity_of(const json::Value& volume) {
  return quantity_or_zero(volume["spec"]["capacity"]["storage"].as_string());
}

Quantity wanted_by(const json::Value& claim) {
  return quantity_or_zero(claim["spec"]["resources"]["requests"]["storage"].as_string());
}

bool usable_on(const json::Value& volume, const VolumeChoice& choice) {
  if (choice.node_labels == nullptr) return true;
  return NodeRequirement::of_selector(volume["spec"]["nodeAffinity"]["required"])
      .matches(choice.node_name, *choice.node_labels);
}

std::string_view attributes_class(const json::Value& object) {
  return object["spec"]["volumeAttributesClassName"].as_string();
}

// Of a volume that nobody has reserved.
bool may_bind(const json::Value& volume, const json::Value& claim, const LabelMatch* selector,
              const VolumeChoice& choice) {
  if (choice.node_labels == nullptr && choice.delayed) return false;
  if (volume["status"]["phase"].as_string() != "Available") return false;
  if (selector != nullptr && !selector->matches(labels_of(volume["metadata"]["labels"]))) {
    return false;
  }
  return storage_class_of(volume) == storage_class_of(claim) && has_access_modes(volume, claim) &&
         usable_on(volume, choice);
}

}  // namespace

std::string storage_class_of(const json::Value& object) {
  const json::Value* old = object["metadata"]["annotations"].find(kOldClass);
  return (old != nullptr ? *old : object["spec"]["storageClassName"]).text();
}

bool is_bound_to(const json::Value& volume, const json::Value& claim) {
  const json::Value& ref = volume["spec"]["claimRef"];
  const json::Value& meta = claim["metadata"];
  if (ref.is_null() || !(ref["name"] == meta["name"]) || !(ref["namespace"] == meta["namespace"])) {
    return false;
  }
  return ref["uid"].as_string().empty() || ref["uid"] == meta["uid"];
}

bool volume_modes_differ(const json::Value& volume, const json::Value& claim) {
  return volume["spec"]["volumeMode"].as_string("Filesystem") !=
         claim["spec"]["volumeMode"].as_string("Filesystem");
}

bool has_access_modes(const json::Value& volume, const json::Value& claim) {
  for (const json::Value& wanted : claim["spec"]["accessModes"].elements()) {
    bool has = false;
    for (const json::Value& mode : volume["spec"]["accessModes"].elements()) has |= mode == wanted;
    if (!has) return false;
  }
  return true;
}

std::string claim_mismatch(const json::Value& volume, const json::Value& claim) {
  if (!volume["metadata"]["deletionTimestamp"].is_null()) {
    return "the volume is marked for deletion \"" + volume["metadata"]["name"].text() + "\"";
  }
  if (capacity_of(volume) < wanted_by(claim)) return "requested PV is too small";
  if (attributes_class(volume) != attributes_class(claim)) {
    return "volumeAttributesClassName does not match";
  }
  if (storage_class_of(volume) != storage_class_of(claim)) return "storageClassName does not match";
  if (volume_modes_differ(volume, claim)) return "incompatible volumeMode";
  if (!has_access_modes(volume, claim)) return "incompatible accessMode";
  return {};
}

bool refer_to_claim(json::Value& volume, const json::Value& claim) {
  const json::Value& ref = volume["spec"]["claimRef"];
  const json::Value& meta = claim["metadata"];
  bool ours = !is_bound_to(volume, claim);
  bool changed = ref.is_null() || ours || !(ref["uid"] == meta["uid"]);
  if (changed) volume.member("spec").set("claimRef", object_reference(claim));
  if (ours && !volume["metadata"]["annotations"].has(kBoundByController)) {
    volume.member("metadata").member("annotations").set(kBoundByController, "yes");
    changed = true;
  }
  return changed;
}

std::string find_volume(const std::vector<json::Value>& volumes, const json::Value& claim,
                        const VolumeChoice& choice) {
  LabelMatch selector;
  bool selects = !claim["spec"]["selector"].is_null();
  if (selects) selector = LabelMatch::of_selector(claim["spec"]["selector"]);
  Quantity wanted = wanted_by(claim);
  const json::Value* best = nullptr;
  Quantity best_size;
  size_t best_modes = 0;
  for (const json::Value& volume : volumes) {
    std::string name = volume["metadata"]["name"].text();
    bool reserved = is_bound_to(volume, claim);
    if (!reserved && !volume["spec"]["claimRef"].is_null()) continue;
    if (choice.taken && choice.taken(name)) continue;
    Quantity size = capacity_of(volume);
    if (size < wanted || volume_modes_differ(volume, claim)) continue;
    if (attributes_class(volume) != attributes_class(claim)) continue;
    if (!volume["metadata"]["deletionTimestamp"].is_null()) continue;
    if (reserved) return usable_on(volume, choice) ? name : std::string();
    if (!may_bind(volume, claim, selects ? &selector : nullptr, choice)) continue;
    // The fewest further access modes first, then the least room to spare.
    size_t modes = volume["spec"]["accessModes"].size();
    if (best == nullptr || modes < best_modes || (modes == best_modes && size < best_size)) {
      best = &volume;
      best_size = size;
      best_modes = modes;
    }
  }
  return best != nullptr ? (*best)["metadata"]["name"].text() : std::string();
}

std::string ephemeral_claim_name(const std::string& pod, const json::Value& volume) {
  return pod + "-" + volume["name"].text();
}

bool is_claim_of_pod(const Object& claim, const std::string& pod_uid) {
  const OwnerRef* owner = claim.controller();
  return owner != nullptr && owner->uid == pod_uid;
}

}  // namespace knarr::api
