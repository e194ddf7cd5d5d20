#include "server/controllers/disruption.h"

#include <algorithm>
#include <set>

#include "api/view/label_match.h"
#include "api/view/meta.h"
#include "api/view/pod.h"
#include "base/time.h"
#include "server/controllers/conditions.h"

namespace knarr::server {

namespace {

constexpr int64_t kDisruptedTtlUs = 120 * 1000000LL;  // an eviction that came to nothing

// As Go prints a LabelSelector.
std::string selector_text(const json::Value& selector) {
  std::vector<std::string> labels;
  for (auto [key, value] : selector["matchLabels"].members()) {
    labels.push_back(std::string(key) + ": " + value.text());
  }
  std::sort(labels.begin(), labels.end());
  std::string text = "&LabelSelector{MatchLabels:map[string]string{";
  for (const std::string& l : labels) text += l + ",";
  text += "},MatchExpressions:[]LabelSelectorRequirement{";
  for (const json::Value& e : selector["matchExpressions"].elements()) {
    text += "LabelSelectorRequirement{Key:" + e["key"].text() +
            ",Operator:" + e["operator"].text() + ",Values:[";
    for (size_t i = 0; i < e["values"].size(); ++i) {
      text += (i == 0 ? "" : " ") + e["values"][i].text();
    }
    text += "],},";
  }
  return text + "},}";
}

const ResourceName* scaled_kind(const std::string& kind) {
  for (const ResourceName* r :
       {&kReplicaSets, &kDeployments, &kStatefulSets, &kReplicationControllers}) {
    if (kind == r->kind) return r;
  }
  return nullptr;
}

}  // namespace

DisruptionController::DisruptionController(const ControllerContext& context)
    : Controller(context, "controllermanager") {}

std::vector<GroupResource> DisruptionController::watches() const {
  return {kBudgets.key(),     kPods.key(),         kDeployments.key(),
          kReplicaSets.key(), kStatefulSets.key(), kReplicationControllers.key()};
}

void DisruptionController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                     const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  if (resource.resource == kBudgets.plural) return enqueue(any->name);
  bool pod = resource.resource == kPods.plural;
  context_.cache.for_each(kBudgets.key(), any->name.ns, [&](const ObjectRef& budget) {
    if (pod) {
      auto match = api::LabelMatch::of_selector(api::decode(*budget)["spec"]["selector"]);
      if (!match.matches(*any) && !(previous && match.matches(*previous))) return true;
    }
    enqueue(budget->name);
    return true;
  });
}

int64_t DisruptionController::expected_scale(const std::vector<ObjectRef>& pods) {
  std::set<std::string> seen;
  int64_t total = 0;
  for (const ObjectRef& pod : pods) {
    ObjectRef owner;
    const OwnerRef* reference = pod->controller();
    const ResourceName* kind = reference != nullptr ? scaled_kind(reference->kind) : nullptr;
    while (kind != nullptr) {
      owner = context_.get(*kind, {pod->name.ns, reference->name});
      if (owner == nullptr || owner->uid != reference->uid) return -1;
      const OwnerRef* above = owner->controller();
      const ResourceName* next = above != nullptr ? scaled_kind(above->kind) : nullptr;
      if (next == nullptr) break;
      reference = above;
      kind = next;
    }
    if (owner == nullptr) return -1;
    if (!seen.insert(owner->uid).second) continue;
    total += api::int_field(api::decode(*owner)["spec"], "replicas", 1);
  }
  return total;
}

void DisruptionController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kBudgets, key);
  if (object == nullptr) return;
  json::Value budget = api::decode(*object);
  const json::Value& spec = budget["spec"];
  auto match = api::LabelMatch::of_selector(spec["selector"]);
  std::vector<ObjectRef> pods;
  context_.cache.for_each(kPods.key(), key.ns, [&](const ObjectRef& pod) {
    const std::string* phase = pod->field("status.phase");
    bool ended = phase != nullptr && (*phase == "Succeeded" || *phase == "Failed");
    if (!ended && match.matches(*pod)) pods.push_back(pod);
    return true;
  });
  if (pods.empty()) event(budget, false, "NoPods", "No matching pods found");
  int64_t expected = 0, desired = 0;
  bool unmanaged = false;
  const json::Value& least = spec["minAvailable"];
  if (spec.has("maxUnavailable") || least.is_string()) {
    expected = expected_scale(pods);
    unmanaged = expected < 0;
    expected = std::max<int64_t>(0, expected);
    desired = spec.has("maxUnavailable")
                  ? std::max<int64_t>(
                        0, expected - api::scaled_value(spec["maxUnavailable"], expected, true))
                  : api::scaled_value(least, expected, true);
  } else {
    expected = static_cast<int64_t>(pods.size());
    desired = least.as_int();
  }
  if (unmanaged) {
    event(
        budget, true, "UnmanagedPods",
        "Pods selected by this PodDisruptionBudget (selector: " + selector_text(spec["selector"]) +
            ") were found to be unmanaged. As a result, the status of the PDB cannot be "
            "calculated correctly, which may result in undefined behavior. To account for these "
            "pods please set \".spec.minAvailable\" field of the PDB to an integer value.");
  }
  json::Value changed = budget;
  json::Value& status = changed.member("status");
  json::Value disrupted = json::Value::object();
  int64_t healthy = 0;
  for (const ObjectRef& ref : pods) {
    api::PodView pod(ref);
    int64_t evicted = api::time_field(status["disruptedPods"], pod.name());
    if (evicted != 0 && !pod.deleting()) {
      int64_t left = evicted + kDisruptedTtlUs - now_us();
      if (left > 0) {
        disrupted.set(pod.name(), status["disruptedPods"][pod.name()]);
        pass->again_after_ms(left / 1000 + 1);
        continue;
      }
    }
    healthy += pod.ready && !pod.deleting();
  }
  int64_t allowed = std::max<int64_t>(0, healthy - desired);
  if (expected <= 0) allowed = 0;
  if (disrupted.empty()) {
    status.erase("disruptedPods");
  } else {
    status.set("disruptedPods", std::move(disrupted));
  }
  status.set("disruptionsAllowed", allowed).set("currentHealthy", healthy);
  status.set("desiredHealthy", desired).set("expectedPods", expected);
  int64_t generation = budget["metadata"]["generation"].as_int();
  api::set_or_erase(status, "observedGeneration", generation);
  const char* reason = allowed > 0 ? "SufficientPods" : "InsufficientPods";
  const json::Value& told = api::condition(status["conditions"], "DisruptionAllowed");
  if (told["reason"].as_string() != reason || told["observedGeneration"].as_int() != generation) {
    const char* is = allowed > 0 ? "True" : "False";
    json::Value since = told["status"].as_string() == is ? told["lastTransitionTime"]
                                                         : json::Value(base::format_time(now_us()));
    remove_condition(status, "DisruptionAllowed");
    status.member("conditions")
        .push_back(json::Value::object({{"type", "DisruptionAllowed"},
                                        {"status", is},
                                        {"observedGeneration", generation},
                                        {"lastTransitionTime", std::move(since)},
                                        {"reason", reason},
                                        {"message", ""}}));
  }
  if (changed["status"] == budget["status"]) return;
  pass->write(update_request(kBudgets, changed, "status"));
}

}  // namespace knarr::server
