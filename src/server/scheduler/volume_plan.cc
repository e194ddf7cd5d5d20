#include "server/scheduler/volume_plan.h"

#include <algorithm>

#include "api/quantity.h"
#include "api/view/meta.h"
#include "api/view/volume.h"
#include "server/scheduler/node_info.h"

namespace knarr::server {

namespace {

const GroupResource kClaimKey{"", "persistentvolumeclaims"};
const GroupResource kVolumeKey{"", "persistentvolumes"};
const GroupResource kClassKey{"storage.k8s.io", "storageclasses"};

api::Quantity size_of(const json::Value& claim) {
  return api::quantity_or_zero(claim["spec"]["resources"]["requests"]["storage"].as_string());
}

// False: the claim is not one that waits for a consumer.
bool read_class(const Cache& cache, WaitingClaim& claim) {
  ObjectRef ref = cache.get({kClassKey, {"", api::storage_class_of(claim.value)}});
  if (ref == nullptr) return false;
  json::Value storage_class = api::decode(*ref);
  claim.provisioned = storage_class["provisioner"].as_string() != "kubernetes.io/no-provisioner";
  claim.topologies = storage_class["allowedTopologies"];
  return storage_class["volumeBindingMode"].as_string() == "WaitForFirstConsumer";
}

std::string read_claim(const PodInfo& pod, const PodClaim& wanted, const Cache& cache,
                       PodVolumes& out) {
  const std::string& name = wanted.name;
  ObjectRef ref = cache.get({kClaimKey, {pod.ns(), name}});
  if (ref == nullptr) {
    return wanted.ephemeral ? "waiting for ephemeral volume controller to create the "
                              "persistentvolumeclaim \"" +
                                  name + "\""
                            : "persistentvolumeclaim \"" + name + "\" not found";
  }
  if (ref->deleting) return "persistentvolumeclaim \"" + name + "\" is being deleted";
  if (wanted.ephemeral && !api::is_claim_of_pod(*ref, pod.uid())) {
    return "PVC " + ref->name.text() + " was not created for pod " + pod.object->name.text() +
           " (pod is not owner)";
  }
  WaitingClaim claim{ref->name, api::decode(*ref), false, {}};
  for (const json::Value& mode : claim.value["spec"]["accessModes"].elements()) {
    if (mode.as_string() == "ReadWriteOncePod") out.exclusive.push_back(name);
  }
  std::string volume = claim.value["spec"]["volumeName"].text();
  if (claim.value["status"]["phase"].as_string() == "Lost") {
    return "persistentvolumeclaim \"" + name + "\" bound to non-existent persistentvolume \"" +
           volume + "\"";
  }
  if (!volume.empty() && claim.value["metadata"]["annotations"].has(api::kBindCompleted)) {
    ObjectRef pv = cache.get({kVolumeKey, {"", volume}});
    out.lost |= pv == nullptr;
    if (pv != nullptr) {
      out.bound.push_back(
          api::NodeRequirement::of_selector(api::decode(*pv)["spec"]["nodeAffinity"]["required"]));
    }
    return {};
  }
  if (!volume.empty() || !read_class(cache, claim)) {
    return "pod has unbound immediate PersistentVolumeClaims";
  }
  out.waiting.push_back(std::move(claim));
  return {};
}

bool topology_allows(const json::Value& topologies, const NodeInfo& node) {
  if (topologies.empty()) return true;
  for (const json::Value& term : topologies.elements()) {
    bool all = true;
    for (const json::Value& e : term["matchLabelExpressions"].elements()) {
      const std::string* label = node.label(e["key"].text());
      bool any = false;
      for (const json::Value& v : e["values"].elements()) {
        any |= label != nullptr && v.as_string() == *label;
      }
      all &= any;
    }
    if (all) return true;
  }
  return false;
}

}  // namespace

PodVolumes volumes_of(const PodInfo& pod, const Cache& cache) {
  PodVolumes out;
  for (const PodClaim& claim : pod.claims) {
    out.refusal = read_claim(pod, claim, cache, out);
    if (!out.refusal.empty()) return out;
  }
  if (out.waiting.empty()) return out;
  std::stable_sort(out.waiting.begin(), out.waiting.end(), [](const auto& a, const auto& b) {
    return size_of(b.value) < size_of(a.value);
  });
  cache.for_each(kVolumeKey, "", [&](const ObjectRef& volume) {
    out.volumes.push_back(api::decode(*volume));
    return true;
  });
  return out;
}

std::optional<VolumePlan> plan_volumes(const PodVolumes& volumes, const TakenVolumes& taken,
                                       const NodeInfo& node) {
  VolumePlan plan;
  TakenVolumes promised = taken;
  for (const WaitingClaim& claim : volumes.waiting) {
    std::string selected = claim.value["metadata"]["annotations"][api::kSelectedNode].text();
    if (!selected.empty()) {
      if (selected != node.name) return std::nullopt;
      plan.provision.push_back(claim.name);
      continue;
    }
    auto own = std::find_if(promised.begin(), promised.end(),
                            [&](const auto& t) { return t.second == claim.name; });
    api::VolumeChoice choice;
    choice.node_labels = &node.labels;
    choice.node_name = node.name;
    choice.taken = [&](const std::string& volume) {
      if (own != promised.end()) return volume != own->first;
      return promised.count(volume) != 0;
    };
    std::string found = api::find_volume(volumes.volumes, claim.value, choice);
    if (!found.empty()) {
      promised[found] = claim.name;
      plan.bind.emplace_back(found, claim.name);
    } else if (claim.provisioned && topology_allows(claim.topologies, node)) {
      plan.provision.push_back(claim.name);
    } else {
      return std::nullopt;
    }
  }
  return plan;
}

}  // namespace knarr::server
