#include "server/controllers/daemon_set.h"

#include <algorithm>

#include "api/view/meta.h"

namespace knarr::server {

namespace {
constexpr const char* kHashLabel = "controller-revision-hash";
constexpr const char* kGenerationLabel = "pod-template-generation";
constexpr const char* kTemplateGeneration = "deprecated.daemonset.template.generation";
constexpr RevisionStyle kStyle{kHashLabel};
}  // namespace

struct DaemonSetController::State {
  json::Value set;
  json::Value daemon_spec;
  std::vector<api::PodView> pods;
  std::map<std::string, std::vector<const api::PodView*>> by_node;  // oldest first
  std::map<std::string, DaemonVerdict> nodes;
  std::string hash;

  bool updated(const api::PodView& pod) const {
    const std::string* label = pod.object->label(kHashLabel);
    return label != nullptr && *label == hash;
  }
};

json::Value daemon_pod_spec(const json::Value& pod_template) {
  json::Value spec = pod_template["spec"];
  std::vector<std::pair<const char*, const char*>> wanted{
      {"node.kubernetes.io/not-ready", "NoExecute"},
      {"node.kubernetes.io/unreachable", "NoExecute"},
      {"node.kubernetes.io/disk-pressure", "NoSchedule"},
      {"node.kubernetes.io/memory-pressure", "NoSchedule"},
      {"node.kubernetes.io/pid-pressure", "NoSchedule"},
      {"node.kubernetes.io/unschedulable", "NoSchedule"}};
  if (spec["hostNetwork"].as_bool()) {
    wanted.push_back({"node.kubernetes.io/network-unavailable", "NoSchedule"});
  }
  json::Value& tolerations = spec.member("tolerations");
  for (auto [key, effect] : wanted) {
    json::Value t = json::Value::object({{"key", key}, {"operator", "Exists"}, {"effect", effect}});
    bool replaced = false;
    for (json::Value& have : tolerations.elements()) {
      if (have["key"] == t["key"] && have["effect"] == t["effect"] &&
          have["operator"] == t["operator"]) {
        have = t;
        replaced = true;
      }
    }
    if (!replaced) tolerations.push_back(std::move(t));
  }
  return spec;
}

std::string daemon_node_of(const json::Value& pod) {
  const json::Value& spec = pod["spec"];
  if (std::string node = spec["nodeName"].text(); !node.empty()) return node;
  const json::Value& required =
      spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
  for (const json::Value& term : required["nodeSelectorTerms"].elements()) {
    for (const json::Value& f : term["matchFields"].elements()) {
      if (f["key"].as_string() == "metadata.name" && f["operator"].as_string() == "In" &&
          f["values"].size() == 1) {
        return f["values"][0].text();
      }
    }
  }
  return {};
}

DaemonVerdict daemon_verdict(const json::Value& spec, const json::Value& node) {
  std::string name = node["metadata"]["name"].text();
  if (std::string only = spec["nodeName"].text(); !only.empty() && only != name) return {};
  if (!api::NodeRequirement(spec).matches(name, api::labels_of(node["metadata"]["labels"]))) {
    return {};
  }
  auto tolerations = api::tolerations_of(spec);
  DaemonVerdict verdict{true, true};
  for (const api::Taint& taint : api::taints_of(node)) {
    if (taint.effect == "PreferNoSchedule" || api::tolerated(tolerations, taint)) continue;
    verdict.should_run = false;
    if (taint.effect == "NoExecute") verdict.may_stay = false;
  }
  return verdict;
}

DaemonUpdate plan_daemon_update(const std::vector<DaemonNode>& nodes, int64_t max_unavailable,
                                int64_t max_surge) {
  DaemonUpdate plan;
  std::vector<const api::PodView*> candidates;
  int64_t unavailable = 0, surging = 0;
  if (max_surge == 0) {
    for (const DaemonNode& n : nodes) {
      if (n.new_pod == nullptr && n.old_pod == nullptr) {
        ++unavailable;  // one is being made there
      } else if (n.new_pod != nullptr) {
        unavailable += !n.new_available;
      } else if (n.old_pod->deleting()) {
        ++unavailable;
      } else if (!n.old_available) {
        plan.remove.push_back(n.old_pod);  // nothing is lost
        ++unavailable;
      } else {
        candidates.push_back(n.old_pod);
      }
    }
    for (const api::PodView* pod : candidates) {
      if (unavailable++ >= max_unavailable) break;
      plan.remove.push_back(pod);
    }
    return plan;
  }
  std::vector<std::string> wanting;
  for (const DaemonNode& n : nodes) {
    if (n.old_pod == nullptr) continue;
    if (n.new_pod != nullptr) {
      if (n.new_available && !n.old_pod->deleting()) {
        plan.remove.push_back(n.old_pod);
      } else {
        ++surging;
      }
    } else if (!n.old_available) {
      plan.surge.push_back(n.name);
    } else {
      wanting.push_back(n.name);
    }
  }
  for (const std::string& name : wanting) {
    if (surging++ >= max_surge) break;
    plan.surge.push_back(name);
  }
  return plan;
}

DaemonSetController::DaemonSetController(const ControllerContext& context)
    : Controller(context, "daemonset-controller") {}

std::vector<GroupResource> DaemonSetController::watches() const {
  return {kDaemonSets.key(), kPods.key(), kNodes.key(), kControllerRevisions.key()};
}

void DaemonSetController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                    const ObjectRef& object) {
  if (resource.resource == kDaemonSets.plural) {
    return enqueue((object ? object : previous)->name);
  }
  if (resource.resource == kNodes.plural) {
    // Heartbeats change only the status: no daemon set cares.
    if (previous != nullptr && object != nullptr && previous->labels == object->labels &&
        api::taints_of(api::decode(*previous)) == api::taints_of(api::decode(*object))) {
      return;
    }
    context_.cache.for_each(kDaemonSets.key(), "", [&](const ObjectRef& set) {
      if (object == nullptr || changes_node(*set, *object)) enqueue(set->name);
      return true;
    });
    return;
  }
  enqueue_controller(previous, kDaemonSets.kind);
  enqueue_controller(object, kDaemonSets.kind);
}

// Whether a pod is to come to the node, or to go from it. A pod that may stay where it would not be
// put any more changes nothing, not even the status, until something else does.
bool DaemonSetController::changes_node(const Object& set, const Object& node) const {
  json::Value spec = daemon_pod_spec(api::decode(set)["spec"]["template"]);
  DaemonVerdict verdict = daemon_verdict(spec, api::decode(node));
  bool there = false;
  context_.cache.for_each_owned(set.uid, [&](const GroupResource& resource, const ObjectRef& pod) {
    there |= resource == kPods.key() && daemon_node_of(api::decode(*pod)) == node.name.name;
  });
  return there ? !verdict.may_stay : verdict.should_run;
}

void DaemonSetController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kDaemonSets, key);
  if (object == nullptr) return;
  auto state = std::make_shared<State>();
  state->set = api::decode(*object);
  const json::Value& spec = state->set["spec"];
  auto selector = api::LabelMatch::of_selector(spec["selector"]);
  if (selector.empty()) {
    return event(state->set, true, "SelectingAll",
                 "This daemon set is selecting all pods. A non-empty selector is required.");
  }
  if (object->deleting) return;
  Claimed pods = claim_objects(context_, pass, kPods, state->set, selector);
  Claimed owned = claim_objects(context_, pass, kControllerRevisions, state->set, selector);
  if (pods.changing || owned.changing) return;
  std::vector<Revision> revisions = decode_revisions(owned.objects);
  CurrentRevision current =
      sync_revision(context_, pass, kDaemonSets, state->set, revisions, kStyle);
  if (current.found == nullptr) return;
  state->hash = current.found->value["metadata"]["labels"][kHashLabel].text();
  state->daemon_spec = daemon_pod_spec(spec["template"]);
  state->pods = decode_pods(pods.objects);
  std::sort(
      state->pods.begin(), state->pods.end(), [](const api::PodView& a, const api::PodView& b) {
        return a.created_at != b.created_at ? a.created_at < b.created_at : a.name() < b.name();
      });
  for (const api::PodView& pod : state->pods) {
    state->by_node[daemon_node_of(pod.value)].push_back(&pod);
  }
  context_.cache.for_each(kNodes.key(), "", [&](const ObjectRef& node) {
    state->nodes[node->name.name] = daemon_verdict(state->daemon_spec, api::decode(*node));
    return true;
  });
  bool quiet = !manage(state, pass);
  if (quiet && spec["updateStrategy"]["type"].as_string() != "OnDelete") update(state, pass);
  write_status(*state, pass);
  std::vector<std::string> live{current.found->name};
  for (const api::PodView& pod : state->pods) {
    const std::string* label = pod.object->label(kHashLabel);
    if (label != nullptr) live.push_back(key.name + "-" + *label);
  }
  truncate_revisions(pass, state->set, revisions, live);
}

// Pods where there should be some and are none; none where there should not. True when it acted.
bool DaemonSetController::manage(const std::shared_ptr<State>& state, const PassRef& pass) {
  std::vector<std::string> missing;
  bool removed = false;
  bool surges = state->set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"].as_int() != 0 ||
                state->set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"].is_string();
  auto drop = [&](const api::PodView& pod) {
    if (pod.deleting()) return;
    removed = true;
    remove(state, pass, pod);
  };
  for (const auto& [node, verdict] : state->nodes) {
    auto it = state->by_node.find(node);
    if (it == state->by_node.end()) {
      if (verdict.should_run) missing.push_back(node);
      continue;
    }
    const api::PodView* kept[2] = {nullptr, nullptr};  // one of each revision
    for (const api::PodView* pod : it->second) {
      if (!verdict.may_stay) {
        drop(*pod);
        continue;
      }
      if (pod->terminal()) {
        std::string where = " daemon pod " + pod->object->name.text() + " on node " + node;
        if (!pod->deleting()) {
          bool failed = pod->phase == api::PodPhase::kFailed;
          event(state->set, failed, failed ? "FailedDaemonPod" : "SucceededDaemonPod",
                failed ? "Found failed" + where + ", will try to kill it"
                       : "Found succeeded" + where + ", will try to delete it");
        }
        drop(*pod);
        continue;
      }
      const api::PodView*& slot = kept[surges && !state->updated(*pod) ? 1 : 0];
      if (slot == nullptr || slot->deleting()) {
        slot = pod;
      } else {
        drop(*pod);
      }
    }
  }
  for (const auto& [node, pods] : state->by_node) {
    if (state->nodes.count(node) != 0 || node.empty()) continue;
    for (const api::PodView* pod : pods) {
      if (pod->node.empty()) drop(*pod);  // never placed, and its node is gone
    }
  }
  if (!missing.empty()) create(state, pass, missing);
  return removed || !missing.empty();
}

void DaemonSetController::update(const std::shared_ptr<State>& state, const PassRef& pass) {
  const json::Value& spec = state->set["spec"];
  const json::Value& rolling = spec["updateStrategy"]["rollingUpdate"];
  int64_t min_ready = spec["minReadySeconds"].as_int();
  std::vector<DaemonNode> nodes;
  int64_t desired = 0;
  for (const auto& [name, verdict] : state->nodes) {
    desired += verdict.should_run;
    auto it = state->by_node.find(name);
    if (!verdict.should_run) continue;
    DaemonNode n{name};
    if (it != state->by_node.end()) {
      for (const api::PodView* pod : it->second) {
        bool available = pod->available(min_ready, now_us()) && !pod->deleting();
        if (state->updated(*pod)) {
          n.new_pod = pod;
          n.new_available = available;
        } else {
          n.old_pod = pod;
          n.old_available = available;
        }
      }
    }
    nodes.push_back(n);
  }
  int64_t surge = api::scaled_value(rolling["maxSurge"], desired, true);
  int64_t unavailable = rolling.has("maxUnavailable")
                            ? api::scaled_value(rolling["maxUnavailable"], desired, true)
                            : 1;
  if (surge == 0 && unavailable == 0) unavailable = 1;
  DaemonUpdate plan = plan_daemon_update(nodes, unavailable, surge);
  for (const api::PodView* pod : plan.remove) remove(state, pass, *pod);
  if (!plan.surge.empty()) create(state, pass, std::move(plan.surge));
}

void DaemonSetController::create(const std::shared_ptr<State>& state, const PassRef& pass,
                                 std::vector<std::string> nodes) {
  BatchCreate how;
  auto targets = std::make_shared<std::vector<std::string>>(std::move(nodes));
  how.make = [state, targets](int64_t i) {
    json::Value pod = pod_of_template(state->set["spec"]["template"], state->set,
                                      state->set["metadata"]["name"].text());
    json::Value& labels = pod.member("metadata").member("labels");
    labels.set(kHashLabel, state->hash);
    const json::Value& meta = state->set["metadata"];
    std::string generation = meta["annotations"][kTemplateGeneration].text();
    if (generation.empty()) generation = std::to_string(meta["generation"].as_int());
    labels.set(kGenerationLabel, generation);
    json::Value spec = state->daemon_spec;
    json::Value field =
        json::Value::object({{"key", "metadata.name"},
                             {"operator", "In"},
                             {"values", json::Value::array({(*targets)[static_cast<size_t>(i)]})}});
    json::Value fields = json::Value::array({std::move(field)});
    json::Value& required = spec.member("affinity")
                                .member("nodeAffinity")
                                .member("requiredDuringSchedulingIgnoredDuringExecution");
    // Each term that was there already holds for the node; the pod is bound to this one.
    required = json::Value::object(
        {{"nodeSelectorTerms",
          json::Value::array({json::Value::object({{"matchFields", std::move(fields)}})})}});
    pod.set("spec", std::move(spec));
    return pod;
  };
  how.each = [this, state](int64_t, const Result<ObjectRef>& answer) {
    if (answer.ok()) {
      event(state->set, false, "SuccessfulCreate", "Created pod: " + (*answer)->name.name);
    } else if (!is_namespace_terminating(answer.error())) {
      event(state->set, true, "FailedCreate", "Error creating: " + answer.error().message);
    }
  };
  how.done = [pass](int64_t, const Error* error) {
    if (error != nullptr && !is_namespace_terminating(*error)) pass->fail(*error);
  };
  auto count = static_cast<int64_t>(targets->size());
  create_pods(pass, pass->key().ns, count, std::move(how));
}

void DaemonSetController::remove(const std::shared_ptr<State>& state, const PassRef& pass,
                                 const api::PodView& pod) {
  pass->write(delete_request(kPods, pod.object->name, pod.uid()),
              [this, state, pass, name = pod.name()](Result<ObjectRef> answer) {
                if (answer.ok()) {
                  return event(state->set, false, "SuccessfulDelete", "Deleted pod: " + name);
                }
                if (answer.error().code == Code::kNotFound) return;
                event(state->set, true, "FailedDelete",
                      "Error deleting: " + answer.error().message);
                pass->fail(answer.error());
              });
}

void DaemonSetController::write_status(const State& state, const PassRef& pass) {
  int64_t min_ready = state.set["spec"]["minReadySeconds"].as_int();
  int64_t desired = 0, current = 0, wrong = 0, ready = 0, updated = 0, available = 0;
  for (const auto& [name, verdict] : state.nodes) {
    auto it = state.by_node.find(name);
    bool has = it != state.by_node.end();
    if (!verdict.should_run) {
      wrong += has;
      continue;
    }
    ++desired;
    if (!has) continue;
    ++current;
    const api::PodView* pod = it->second.front();
    for (const api::PodView* p : it->second) {
      if (pod->deleting() && !p->deleting()) pod = p;
    }
    updated += state.updated(*pod);
    if (!pod->ready) continue;
    ++ready;
    if (pod->available(min_ready, now_us())) {
      ++available;
    } else {
      pass->again_after_ms((pod->available_at(min_ready) - now_us()) / 1000 + 1);
    }
  }
  json::Value changed = state.set;
  json::Value& status = changed.member("status");
  status.set("currentNumberScheduled", current).set("numberMisscheduled", wrong);
  status.set("desiredNumberScheduled", desired).set("numberReady", ready);
  api::set_or_erase(status, "observedGeneration", changed["metadata"]["generation"].as_int());
  api::set_or_erase(status, "updatedNumberScheduled", updated);
  api::set_or_erase(status, "numberAvailable", available);
  api::set_or_erase(status, "numberUnavailable", desired - available);
  if (changed["status"] == state.set["status"]) return;
  pass->write(update_request(kDaemonSets, changed, "status"));
}

}  // namespace knarr::server
