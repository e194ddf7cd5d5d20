// PersistentVolumeClaims: bound ones pin a pod to where their volume is; unbound ones of a class
// that waits for its first consumer need a volume that could be bound on the node, or a
// provisioner.
#include <algorithm>

#include "api/quantity.h"
#include "api/view/meta.h"
#include "server/scheduler/plugins/all.h"

namespace knarr::server {

namespace {

struct Prepared {
  std::vector<api::NodeRequirement> bound;  // of volumes already bound
  std::vector<json::Value> unbound;         // claims that wait
  bool exclusive_taken = false;
};

const GroupResource kClaimKey{"", "persistentvolumeclaims"};
const GroupResource kVolumeKey{"", "persistentvolumes"};

bool waits_for_consumer(const Cycle& cycle, const json::Value& claim, bool* provisions) {
  ObjectRef ref = cycle.cache.get(
      {{"storage.k8s.io", "storageclasses"}, {"", claim["spec"]["storageClassName"].text()}});
  if (ref == nullptr) return false;
  json::Value storage_class = api::decode(*ref);
  *provisions = storage_class["provisioner"].as_string() != "kubernetes.io/no-provisioner";
  return storage_class["volumeBindingMode"].as_string() == "WaitForFirstConsumer";
}

bool in_use(const Cycle& cycle, const std::string& claim) {
  for (const NodeInfo* node : cycle.table.nodes()) {
    for (const PodInfoRef& pod : node->pods) {
      if (pod->ns() != cycle.pod.ns() || pod->uid() == cycle.pod.uid()) continue;
      if (std::find(pod->claims.begin(), pod->claims.end(), claim) != pod->claims.end())
        return true;
    }
  }
  return false;
}

Verdict prepare(Cycle& cycle) {
  if (cycle.pod.claims.empty()) return {};
  Prepared p;
  for (const std::string& name : cycle.pod.claims) {
    ObjectRef ref = cycle.cache.get({kClaimKey, {cycle.pod.ns(), name}});
    if (ref == nullptr) {
      return Verdict::never("persistentvolumeclaim \"" + name + "\" not found");
    }
    if (ref->deleting) {
      return Verdict::never("persistentvolumeclaim \"" + name + "\" is being deleted");
    }
    json::Value claim = api::decode(*ref);
    for (const json::Value& mode : claim["spec"]["accessModes"].elements()) {
      if (mode.as_string() == "ReadWriteOncePod") p.exclusive_taken |= in_use(cycle, name);
    }
    std::string volume = claim["spec"]["volumeName"].text();
    bool bound =
        !volume.empty() && claim["metadata"]["annotations"].has("pv.kubernetes.io/bind-completed");
    if (bound) {
      ObjectRef pv = cycle.cache.get({kVolumeKey, {"", volume}});
      if (pv == nullptr) {
        return Verdict::never("persistentvolume \"" + volume + "\" not found");
      }
      p.bound.push_back(
          api::NodeRequirement::of_selector(api::decode(*pv)["spec"]["nodeAffinity"]["required"]));
      continue;
    }
    bool provisions = false;
    if (!waits_for_consumer(cycle, claim, &provisions) || !volume.empty()) {
      return Verdict::never("pod has unbound immediate PersistentVolumeClaims");
    }
    if (!provisions) p.unbound.push_back(std::move(claim));
  }
  cycle.prepared["VolumeBinding"] = std::move(p);
  return {};
}

bool volume_fits(const json::Value& volume, const json::Value& claim, const NodeInfo& node) {
  const json::Value& spec = volume["spec"];
  const json::Value& wanted = claim["spec"];
  if (volume["status"]["phase"].as_string() != "Available" || spec.has("claimRef")) return false;
  if (!(spec["storageClassName"] == wanted["storageClassName"])) return false;
  auto size = api::quantity_or_zero(spec["capacity"]["storage"].as_string());
  if (size < api::quantity_or_zero(wanted["resources"]["requests"]["storage"].as_string())) {
    return false;
  }
  for (const json::Value& mode : wanted["accessModes"].elements()) {
    bool has = false;
    for (const json::Value& m : spec["accessModes"].elements()) has |= m == mode;
    if (!has) return false;
  }
  return api::NodeRequirement::of_selector(spec["nodeAffinity"]["required"])
      .matches(node.name, node.labels);
}

Verdict filter(Cycle& cycle, const NodeInfo& node) {
  auto it = cycle.prepared.find("VolumeBinding");
  if (it == cycle.prepared.end()) return {};
  const auto& p = *std::any_cast<Prepared>(&it->second);
  if (p.exclusive_taken) {
    return Verdict::no(
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
        "already in-use by another pod");
  }
  for (const api::NodeRequirement& r : p.bound) {
    if (!r.matches(node.name, node.labels)) {
      return Verdict::never("node(s) didn't match PersistentVolume's node affinity");
    }
  }
  for (const json::Value& claim : p.unbound) {
    bool found = false;
    cycle.cache.for_each(kVolumeKey, "", [&](const ObjectRef& pv) {
      found = volume_fits(api::decode(*pv), claim, node);
      return !found;
    });
    if (!found) return Verdict::never("node(s) didn't find available persistent volumes to bind");
  }
  return {};
}

}  // namespace

Plugin volume_plugin() {
  Plugin p{"VolumeBinding"};
  p.wakes_on = kNodeChange | kVolumeChange | kPodGone;
  p.prepare = prepare;
  p.filter = filter;
  return p;
}

}  // namespace knarr::server
