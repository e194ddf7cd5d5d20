#include "server/controllers/node_lifecycle.h"

#include <algorithm>

#include "api/view/meta.h"
#include "base/time.h"

namespace knarr::server {

namespace {

constexpr int64_t kNoExecuteDelayMs = 5000;  // upstream looks at nodes every five seconds
constexpr const char* kLeaseNamespace = "kube-node-lease";
constexpr const char* kPrefix = "node.kubernetes.io/";

bool is_condition_taint(const std::string& key) {
  static const std::vector<std::string> keys{
      "node.kubernetes.io/not-ready",     "node.kubernetes.io/unreachable",
      "node.kubernetes.io/unschedulable", "node.kubernetes.io/memory-pressure",
      "node.kubernetes.io/disk-pressure", "node.kubernetes.io/network-unavailable",
      "node.kubernetes.io/pid-pressure"};
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

std::string ready_status(const json::Value& node) {
  return api::condition(node["status"]["conditions"], "Ready")["status"].text();
}

bool any_ready(const ControllerContext& context) {
  bool any = false;
  context.cache.for_each(kNodes.key(), "", [&](const ObjectRef& node) {
    any = ready_status(api::decode(*node)) == "True";
    return !any;
  });
  return any;
}

}  // namespace

std::vector<api::Taint> condition_taints(const json::Value& node) {
  std::vector<api::Taint> taints;
  auto add = [&](const char* name) {
    taints.push_back({std::string(kPrefix) + name, "", "NoSchedule"});
  };
  const json::Value& conditions = node["status"]["conditions"];
  if (node["spec"]["unschedulable"].as_bool()) add("unschedulable");
  for (const json::Value& c : conditions.elements()) {
    std::string_view type = c["type"].as_string(), status = c["status"].as_string();
    if (type == "Ready" && status == "False") add("not-ready");
    if (type == "Ready" && status == "Unknown") add("unreachable");
    if (status != "True") continue;
    if (type == "MemoryPressure") add("memory-pressure");
    if (type == "DiskPressure") add("disk-pressure");
    if (type == "PIDPressure") add("pid-pressure");
    if (type == "NetworkUnavailable") add("network-unavailable");
  }
  return taints;
}

NodeLifecycleController::NodeLifecycleController(const ControllerContext& context, int64_t grace_ms)
    : Controller(context, "node-controller"), grace_ms_(grace_ms) {}

void NodeLifecycleController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                        const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  if (resource.resource == kNodes.plural) {
    enqueue(any->name);
    // Whether any node is ready decides about the pods of those that are not.
    auto ready = [](const ObjectRef& o) {
      return o != nullptr && ready_status(api::decode(*o)) == "True";
    };
    if (ready(previous) == ready(object)) return;
    return context_.cache.for_each(kNodes.key(), "", [&](const ObjectRef& node) {
      enqueue(node->name);
      return true;
    });
  }
  // A lease is a sign of life: nothing to do, the check comes when it is due. Only its coming does.
  if (any->name.ns == kLeaseNamespace && previous == nullptr) enqueue({"", any->name.name});
}

void NodeLifecycleController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kNodes, key);
  if (object == nullptr) {
    auto it = health_.find(key.name);
    if (it == health_.end()) return;
    event(it->second.reference, false, "RemovingNode",
          "Node " + key.name + " event: Removing Node " + key.name + " from Controller");
    health_.erase(it);
    return;
  }
  json::Value node = api::decode(*object);
  auto [it, is_new] = health_.try_emplace(key.name);
  Health& health = it->second;
  if (is_new) {
    health.reference = json::Value::object(
        {{"kind", "Node"}, {"name", key.name}, {"uid", object->uid}, {"apiVersion", "v1"}});
    event(health.reference, false, "RegisteredNode",
          "Node " + key.name + " event: Registered Node " + key.name + " in Controller");
  }
  if (check_health(pass, node, health)) return;
  sync_taints(pass, node, health);
}

// True when it marked the node.
bool NodeLifecycleController::check_health(const PassRef& pass, const json::Value& node,
                                           Health& health) {
  const std::string& name = pass->key().name;
  int64_t now = context_.clock.monotonic_ms();
  std::string signs =
      api::condition(node["status"]["conditions"], "Ready")["lastHeartbeatTime"].text();
  if (ObjectRef lease = context_.get(kLeases, {kLeaseNamespace, name})) {
    signs += "|" + api::decode(*lease)["spec"]["renewTime"].text();
  }
  if (health.signs != signs || health.seen_at_ms == 0) {
    health.signs = signs;
    health.seen_at_ms = std::max<int64_t>(now, 1);
  }
  std::string ready = ready_status(node);
  if (health.ready != ready || health.ready_since_ms == 0) {
    health.ready = ready;
    health.ready_since_ms = std::max<int64_t>(now, 1);
  }
  int64_t left = health.seen_at_ms + grace_ms_ - now;
  if (left > 0) {
    pass->again_after_ms(left);
    return false;
  }
  if (ready == "Unknown") return false;
  mark_unknown(pass, node);
  if (ready == "True") mark_pods(pass, name);
  return true;
}

void NodeLifecycleController::mark_unknown(const PassRef& pass, const json::Value& node) {
  json::Value changed = node;
  std::string now = base::format_time(now_us());
  json::Value& conditions = changed.member("status").member("conditions");
  for (const char* type : {"Ready", "MemoryPressure", "DiskPressure", "PIDPressure"}) {
    json::Value* found = nullptr;
    for (json::Value& c : conditions.elements()) {
      if (c["type"].as_string() == type) found = &c;
    }
    if (found == nullptr) {
      conditions.push_back(
          json::Value::object({{"type", type},
                               {"status", "Unknown"},
                               {"lastHeartbeatTime", node["metadata"]["creationTimestamp"]},
                               {"lastTransitionTime", now},
                               {"reason", "NodeStatusNeverUpdated"},
                               {"message", "Kubelet never posted node status."}}));
    } else if ((*found)["status"].as_string() != "Unknown") {
      found->set("status", "Unknown").set("reason", "NodeStatusUnknown");
      found->set("message", "Kubelet stopped posting node status.");
      found->set("lastTransitionTime", now);
    }
  }
  pass->write(update_request(kNodes, changed, "status"));
}

void NodeLifecycleController::mark_pods(const PassRef& pass, const std::string& node) {
  std::vector<ObjectRef> pods;
  context_.cache.for_each(kPods.key(), "", [&](const ObjectRef& pod) {
    const std::string* on = pod->field("spec.nodeName");
    if (on != nullptr && *on == node) pods.push_back(pod);
    return true;
  });
  for (const ObjectRef& pod : pods) {
    json::Value value = api::decode(*pod);
    if (!api::condition_is(value["status"]["conditions"], "Ready", "True")) continue;
    json::Value ready = json::Value::object({{"type", "Ready"},
                                             {"status", "False"},
                                             {"lastTransitionTime", base::format_time(now_us())}});
    json::Value patch = json::Value::object(
        {{"status",
          json::Value::object({{"conditions", json::Value::array({std::move(ready)})}})}});
    event(value, true, "NodeNotReady", "Node is not ready");
    pass->remove(
        patch_request(kPods, pod->name, patch, client::PatchType::kStrategicMerge, "status"));
  }
}

void NodeLifecycleController::sync_taints(const PassRef& pass, const json::Value& node,
                                          const Health& health) {
  std::vector<api::Taint> wanted = condition_taints(node);
  if (health.ready == "False" || health.ready == "Unknown") {
    int64_t left = health.ready_since_ms + kNoExecuteDelayMs - context_.clock.monotonic_ms();
    api::Taint taint{std::string(kPrefix) + (health.ready == "False" ? "not-ready" : "unreachable"),
                     "", "NoExecute"};
    std::vector<api::Taint> have = api::taints_of(node);
    if (!any_ready(context_)) {
      // More likely the network than every node: nothing is emptied, as it could go nowhere.
    } else if (left <= 0 || std::find(have.begin(), have.end(), taint) != have.end()) {
      wanted.push_back(taint);
    } else {
      pass->again_after_ms(left);
    }
  }
  json::Value taints = json::Value::array();
  bool changed = false;
  for (const json::Value& t : node["spec"]["taints"].elements()) {
    api::Taint taint{t["key"].text(), t["value"].text(), t["effect"].text()};
    bool ours = is_condition_taint(taint.key) && taint.effect != "PreferNoSchedule";
    auto it = std::find_if(wanted.begin(), wanted.end(), [&](const api::Taint& w) {
      return w.key == taint.key && w.effect == taint.effect;
    });
    if (ours && it == wanted.end()) {
      changed = true;
      continue;
    }
    if (it != wanted.end()) wanted.erase(it);
    taints.push_back(t);
  }
  for (const api::Taint& w : wanted) {
    taints.push_back(json::Value::object(
        {{"key", w.key}, {"effect", w.effect}, {"timeAdded", base::format_time(now_us())}}));
    changed = true;
  }
  if (!changed) return;
  json::Value body = node;
  if (taints.empty()) {
    body.member("spec").erase("taints");
  } else {
    body.member("spec").set("taints", std::move(taints));
  }
  pass->write(update_request(kNodes, body));
}

TaintEvictionController::TaintEvictionController(const ControllerContext& context)
    : Controller(context, "taint-eviction-controller") {}

void TaintEvictionController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                        const ObjectRef& object) {
  if (resource.resource == kPods.plural) {
    if (object == nullptr) {
      waiting_.erase(previous->name);
    } else if (const std::string* node = object->field("spec.nodeName");
               node != nullptr && !node->empty() && previous != object) {
      const std::string* before = previous ? previous->field("spec.nodeName") : nullptr;
      if (before == nullptr || *before != *node) enqueue(object->name);
    }
    return;
  }
  if (object == nullptr) return;
  auto fatal = [](const ObjectRef& node) {
    std::vector<api::Taint> taints = api::taints_of(api::decode(*node));
    std::erase_if(taints, [](const api::Taint& t) { return t.effect != "NoExecute"; });
    return taints;
  };
  std::vector<api::Taint> now = fatal(object);
  if (previous == nullptr ? now.empty() : fatal(previous) == now) return;
  context_.cache.for_each(kPods.key(), "", [&](const ObjectRef& pod) {
    const std::string* node = pod->field("spec.nodeName");
    if (node != nullptr && *node == object->name.name) enqueue(pod->name);
    return true;
  });
}

void TaintEvictionController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kPods, key);
  if (object == nullptr || object->deleting) {
    waiting_.erase(key);
    return;
  }
  json::Value pod = api::decode(*object);
  json::Value reference = json::Value::object(
      {{"kind", "Pod"}, {"namespace", key.ns}, {"name", key.name}, {"apiVersion", "v1"}});
  ObjectRef node_ref = context_.get(kNodes, {"", pod["spec"]["nodeName"].text()});
  if (node_ref == nullptr) return;
  json::Value node = api::decode(*node_ref);
  auto tolerations = api::tolerations_of(pod["spec"]);
  bool tainted = false, refused = false;
  int64_t shortest = -1, added = 0;
  for (const json::Value& t : node["spec"]["taints"].elements()) {
    if (t["effect"].as_string() != "NoExecute") continue;
    tainted = true;
    added = std::max(added, api::time_field(t, "timeAdded"));
    api::Taint taint{t["key"].text(), t["value"].text(), "NoExecute"};
    bool tolerated = false;
    for (const api::Toleration& toleration : tolerations) {
      if (!toleration.tolerates(taint)) continue;
      tolerated = true;
      if (toleration.seconds) {
        int64_t seconds = std::max<int64_t>(0, *toleration.seconds);
        if (shortest < 0 || seconds < shortest) shortest = seconds;
      }
    }
    refused |= !tolerated;
  }
  if (!tainted || (!refused && shortest < 0)) {
    if (waiting_.erase(key) != 0) {
      event(reference, false, "TaintManagerEviction", "Cancelling deletion of Pod " + key.text());
    }
    return;
  }
  if (!refused && shortest > 0) {
    auto [it, is_new] = waiting_.emplace(key, added != 0 ? added : now_us());
    int64_t left = it->second + shortest * 1000000 - now_us();
    if (left > 0) return pass->again_after_ms(left / 1000 + 1);
  }
  waiting_.erase(key);
  event(reference, false, "TaintManagerEviction", "Marking for deletion Pod " + key.text());
  json::Value target =
      json::Value::object({{"type", "DisruptionTarget"},
                           {"status", "True"},
                           {"observedGeneration", pod["metadata"]["generation"]},
                           {"lastTransitionTime", base::format_time(now_us())},
                           {"reason", "DeletionByTaintManager"},
                           {"message", "Taint manager: deleting due to NoExecute taint"}});
  json::Value patch = json::Value::object(
      {{"status", json::Value::object({{"conditions", json::Value::array({std::move(target)})}})}});
  pass->remove(patch_request(kPods, key, patch, client::PatchType::kStrategicMerge, "status"));
  pass->join([pass, key, uid = object->uid] { pass->remove(delete_request(kPods, key, uid)); });
}

namespace {
constexpr int64_t kQuarantineMs = 40000;
constexpr size_t kEndedPods = 12500;
}  // namespace

PodGcController::PodGcController(const ControllerContext& context)
    : Controller(context, "pod-garbage-collector-controller") {}

void PodGcController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                const ObjectRef& object) {
  if (resource.resource == kPods.plural) {
    if (object != nullptr) enqueue(object->name);
    return;
  }
  if (object != nullptr) {
    missing_since_.erase(object->name.name);
    return;
  }
  context_.cache.for_each(kPods.key(), "", [&](const ObjectRef& pod) {
    const std::string* node = pod->field("spec.nodeName");
    if (node != nullptr && *node == previous->name.name) enqueue(pod->name);
    return true;
  });
}

void PodGcController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kPods, key);
  if (object == nullptr) return;
  const std::string* node = object->field("spec.nodeName");
  const std::string* phase = object->field("status.phase");
  bool ended = phase != nullptr && (*phase == "Succeeded" || *phase == "Failed");
  client::Request force = delete_request(kPods, key, object->uid);
  json::Value options = *json::parse(force.body);
  options.set("gracePeriodSeconds", 0);
  force.body = json::write(options);
  if (node == nullptr || node->empty()) {
    if (object->deleting) pass->remove(std::move(force));
    return;
  }
  if (context_.get(kNodes, {"", *node}) != nullptr) {
    if (ended && context_.cache.count(kPods.key()) > kEndedPods && !object->deleting) {
      pass->remove(std::move(force));
    }
    return;
  }
  int64_t now = context_.clock.monotonic_ms();
  int64_t left = missing_since_.emplace(*node, now).first->second + kQuarantineMs - now;
  if (left > 0) return pass->again_after_ms(left);
  if (!ended) {
    json::Value target = json::Value::object({{"type", "DisruptionTarget"},
                                              {"status", "True"},
                                              {"lastTransitionTime", base::format_time(now_us())},
                                              {"reason", "DeletionByPodGC"},
                                              {"message", "PodGC: node no longer exists"}});
    json::Value patch = json::Value::object(
        {{"status",
          json::Value::object(
              {{"phase", "Failed"}, {"conditions", json::Value::array({std::move(target)})}})}});
    pass->remove(patch_request(kPods, key, patch, client::PatchType::kStrategicMerge, "status"));
  }
  auto request = std::make_shared<client::Request>(std::move(force));
  pass->join([pass, request] { pass->remove(std::move(*request)); });
}

}  // namespace knarr::server
