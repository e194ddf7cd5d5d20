#include "server/controllers/ephemeral_claims.h"

#include "api/view/meta.h"
#include "api/view/pod.h"
#include "api/view/volume.h"

namespace knarr::server {

namespace {

constexpr const char* kPodClaimName = "resource.kubernetes.io/pod-claim-name";

bool ended(const json::Value& pod) {
  api::PodPhase phase = api::parse_phase(pod["status"]["phase"].as_string());
  return phase == api::PodPhase::kSucceeded || phase == api::PodPhase::kFailed;
}

json::Value claim_for_pod(const json::Value& pod, const json::Value& from, json::Value meta) {
  const json::Value& wanted = from["metadata"];
  for (const char* map : {"labels", "annotations"}) {
    for (auto [key, value] : wanted[map].members()) meta.member(map).set(key, value);
  }
  meta.set("ownerReferences", json::Value::array({api::controller_reference(pod)}));
  return json::Value::object({{"metadata", std::move(meta)}, {"spec", from["spec"]}});
}

}  // namespace

EphemeralVolumeController::EphemeralVolumeController(const ControllerContext& context)
    : Controller(context, "ephemeral_volume") {}

void EphemeralVolumeController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                          const ObjectRef& object) {
  if (resource.resource == kPods.plural) {
    if (object == nullptr || object->deleting) return;
    if (object->json.find("\"ephemeral\":{") != std::string::npos) enqueue(object->name);
    return;
  }
  if (object == nullptr) enqueue_controller(previous, "Pod");
}

void EphemeralVolumeController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kPods, key);
  if (object == nullptr || object->deleting) return;
  json::Value pod = api::decode(*object);
  for (const json::Value& volume : pod["spec"]["volumes"].elements()) {
    if (!volume.has("ephemeral")) continue;
    std::string name = api::ephemeral_claim_name(key.name, volume);
    if (ObjectRef claim = context_.get(kClaims, {key.ns, name})) {
      if (api::is_claim_of_pod(*claim, object->uid)) continue;
      event(pod, true, "FailedBinding",
            "ephemeral volume " + volume["name"].text() + ": PVC " + claim->name.text() +
                " was not created for pod " + key.text() + " (pod is not owner)");
      // Until somebody removes it: with the key's backoff.
      pass->fail(make_error(Code::kConflict, "the claim is another's"));
      continue;
    }
    json::Value claim = claim_for_pod(pod, volume["ephemeral"]["volumeClaimTemplate"],
                                      json::Value::object({{"name", name}, {"namespace", key.ns}}));
    pass->write(create_request(kClaims, key.ns, std::move(claim)),
                [this, pass, pod, name](Result<ObjectRef> answer) {
                  if (answer.ok()) return;
                  event(pod, true, "FailedCreate",
                        "ephemeral volume: create PVC " + name + ": " + answer.error().message);
                  pass->fail(answer.error());
                });
  }
}

ResourceClaimController::ResourceClaimController(const ControllerContext& context)
    : Controller(context, "resource_claim") {}

std::vector<GroupResource> ResourceClaimController::watches() const {
  return {kPods.key(), kResourceClaims.key(), kResourceClaimTemplates.key()};
}

void ResourceClaimController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                        const ObjectRef& object) {
  auto wants = [](const ObjectRef& pod) {
    return pod->json.find("\"resourceClaimTemplateName\":") != std::string::npos;
  };
  if (resource.resource == kPods.plural) {
    // What a pod leaves behind is the garbage collector's.
    if (object != nullptr && wants(object)) enqueue(object->name);
    return;
  }
  if (resource.resource == kResourceClaims.plural) {
    return enqueue_controller(object ? object : previous, "Pod");
  }
  if (object == nullptr || previous != nullptr) return;
  context_.cache.for_each(kPods.key(), object->name.ns, [&](const ObjectRef& pod) {
    if (wants(pod)) enqueue(pod->name);
    return true;
  });
}

void ResourceClaimController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kPods, key);
  if (object == nullptr) return;
  json::Value pod = api::decode(*object);
  if (object->deleting || ended(pod)) return;
  for (const json::Value& wanted : pod["spec"]["resourceClaims"].elements()) {
    if (wanted.has("resourceClaimTemplateName")) make_claim(pass, pod, wanted);
  }
  pass->join([this, pass, pod] { tell_pod(pass, pod); });
}

void ResourceClaimController::make_claim(const PassRef& pass, const json::Value& pod,
                                         const json::Value& wanted) {
  const NamespacedName& key = pass->key();
  std::string uid = pod["metadata"]["uid"].text();
  bool there = false;
  context_.cache.for_each_owned(uid, [&](const GroupResource& resource, const ObjectRef& claim) {
    if (resource != kResourceClaims.key()) return;
    const json::Value value = api::decode(*claim);
    there |= value["metadata"]["annotations"][kPodClaimName] == wanted["name"];
  });
  if (there) return;
  std::string from = wanted["resourceClaimTemplateName"].text();
  ObjectRef source = context_.get(kResourceClaimTemplates, {key.ns, from});
  if (source == nullptr) {
    std::string why = "resourceclaimtemplate.resource.k8s.io \"" + from + "\" not found";
    event(pod, true, "FailedResourceClaimCreation",
          "PodResourceClaim " + wanted["name"].text() + ": resource claim template \"" + from +
              "\": " + why);
    return pass->fail(make_error(Code::kNotFound, why));
  }
  json::Value meta = json::Value::object(
      {{"generateName", key.name + "-" + wanted["name"].text() + "-"}, {"namespace", key.ns}});
  json::Value claim = claim_for_pod(pod, api::decode(*source)["spec"], std::move(meta));
  claim.member("metadata").member("annotations").set(kPodClaimName, wanted["name"]);
  // The claim does not hold up a foreground deletion of the pod.
  claim.member("metadata").member("ownerReferences").at(0).erase("blockOwnerDeletion");
  pass->write(create_request(kResourceClaims, key.ns, std::move(claim)));
}

// status.resourceClaimStatuses: which claim is behind each of the pod's names.
void ResourceClaimController::tell_pod(const PassRef& pass, const json::Value& pod) {
  ObjectRef now = context_.get(kPods, pass->key());
  if (now == nullptr || now->uid != pod["metadata"]["uid"].as_string()) return;
  json::Value statuses = json::Value::array();
  for (const json::Value& wanted : pod["spec"]["resourceClaims"].elements()) {
    context_.cache.for_each_owned(
        now->uid, [&](const GroupResource& resource, const ObjectRef& claim) {
          if (resource != kResourceClaims.key()) return;
          const json::Value value = api::decode(*claim);
          if (!(value["metadata"]["annotations"][kPodClaimName] == wanted["name"])) return;
          statuses.push_back(json::Value::object(
              {{"name", wanted["name"]}, {"resourceClaimName", claim->name.name}}));
        });
  }
  if (statuses.empty() || api::decode(*now)["status"]["resourceClaimStatuses"] == statuses) return;
  json::Value patch = json::Value::object(
      {{"metadata", json::Value::object({{"uid", now->uid}})},
       {"status", json::Value::object({{"resourceClaimStatuses", std::move(statuses)}})}});
  pass->write(
      patch_request(kPods, pass->key(), patch, client::PatchType::kStrategicMerge, "status"));
}

}  // namespace knarr::server
