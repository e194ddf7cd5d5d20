#include "server/controllers/storage_protection.h"

#include "api/view/meta.h"
#include "api/view/volume.h"

namespace knarr::server {

namespace {

// Only pods that have a node count: a kubelet starts none whose claim is being deleted.
bool pod_uses(const Object& pod, const Object& claim) {
  const std::string* node = pod.field("spec.nodeName");
  if (node == nullptr || node->empty()) return false;
  json::Value value = api::decode(pod);
  bool shut_down = pod.deleting && value["metadata"]["deletionGracePeriodSeconds"].as_int() == 0;
  for (const json::Value& v : value["spec"]["volumes"].elements()) {
    if (v["persistentVolumeClaim"]["claimName"].as_string() == claim.name.name) return true;
    if (!shut_down && v.has("ephemeral") &&
        api::ephemeral_claim_name(pod.name.name, v) == claim.name.name &&
        api::is_claim_of_pod(claim, pod.uid)) {
      return true;
    }
  }
  return false;
}

bool claim_in_use(const ControllerContext& context, const ObjectRef& claim) {
  bool used = false;
  context.cache.for_each(kPods.key(), claim->name.ns, [&](const ObjectRef& pod) {
    used = pod_uses(*pod, *claim);
    return !used;
  });
  return used;
}

bool volume_in_use(const ControllerContext&, const ObjectRef& volume) {
  return api::decode(*volume)["status"]["phase"].as_string() == "Bound";
}

bool class_in_use(const ControllerContext& context, const ObjectRef& object) {
  bool used = false;
  auto look = [&](const json::Value& name) { used |= name.as_string() == object->name.name; };
  context.cache.for_each(kClaims.key(), "", [&](const ObjectRef& claim) {
    json::Value value = api::decode(*claim);
    look(value["spec"]["volumeAttributesClassName"]);
    look(value["status"]["currentVolumeAttributesClassName"]);
    look(value["status"]["modifyVolumeStatus"]["targetVolumeAttributesClassName"]);
    return !used;
  });
  if (used) return true;
  context.cache.for_each(kVolumes.key(), "", [&](const ObjectRef& volume) {
    look(api::decode(*volume)["spec"]["volumeAttributesClassName"]);
    return !used;
  });
  return used;
}

}  // namespace

ProtectionRule claim_protection() {
  return {kClaims,
          "kubernetes.io/pvc-protection",
          "pvc-protection-controller",
          {kPods.key()},
          claim_in_use};
}

ProtectionRule volume_protection() {
  return {kVolumes, "kubernetes.io/pv-protection", "pv-protection-controller", {}, volume_in_use};
}

ProtectionRule attributes_class_protection() {
  return {kVolumeAttributesClasses,
          "kubernetes.io/vac-protection",
          "volumeattributesclass-protection-controller",
          {kClaims.key(), kVolumes.key()},
          class_in_use};
}

ProtectionController::ProtectionController(const ControllerContext& context, ProtectionRule rule)
    : Controller(context, rule.component), rule_(std::move(rule)) {}

std::vector<GroupResource> ProtectionController::watches() const {
  std::vector<GroupResource> all = rule_.users;
  all.push_back(rule_.resource.key());
  return all;
}

void ProtectionController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                     const ObjectRef& object) {
  if (resource == rule_.resource.key()) {
    if (object != nullptr) enqueue(object->name);
    return;
  }
  // A user that is new, or still there and unchanged in this, frees nothing.
  if (previous == nullptr) return;
  context_.cache.for_each(rule_.resource.key(), "", [&](const ObjectRef& held) {
    if (held->deleting) enqueue(held->name);
    return true;
  });
}

void ProtectionController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(rule_.resource, key);
  if (object == nullptr) return;
  json::Value changed = api::decode(*object);
  json::Value& meta = changed.member("metadata");
  json::Value others = json::Value::array();
  bool held = false;
  for (const json::Value& f : meta["finalizers"].elements()) {
    if (f.as_string() == rule_.finalizer) {
      held = true;
    } else {
      others.push_back(f);
    }
  }
  if (object->deleting != held) return;
  if (held) {
    if (rule_.in_use(context_, object)) return;
    if (others.empty()) {
      meta.erase("finalizers");
    } else {
      meta.set("finalizers", std::move(others));
    }
  } else {
    others.push_back(rule_.finalizer);
    meta.set("finalizers", std::move(others));
  }
  pass->remove(update_request(rule_.resource, changed));
}

}  // namespace knarr::server
