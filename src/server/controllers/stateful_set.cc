#include "server/controllers/stateful_set.h"

#include <algorithm>
#include <map>

#include "api/view/meta.h"

namespace knarr::server {

namespace {
constexpr RevisionStyle kStyle{"controller.kubernetes.io/hash"};
constexpr const char* kRevisionLabel = "controller-revision-hash";
}  // namespace

struct StatefulSetController::State {
  json::Value set;
  std::vector<Revision> revisions;
  const Revision* current = nullptr;
  const Revision* update = nullptr;
  std::map<int64_t, api::PodView> pods;  // by ordinal
  int64_t start = 0;
  int64_t replicas = 1;
  int64_t collisions = 0;

  std::string revision_of(const api::PodView& pod) const {
    const std::string* label = pod.object->label(kRevisionLabel);
    return label != nullptr ? *label : std::string();
  }
};

StatefulSetController::StatefulSetController(const ControllerContext& context)
    : Controller(context, "statefulset-controller") {}

std::vector<GroupResource> StatefulSetController::watches() const {
  return {kStatefulSets.key(), kPods.key(), kControllerRevisions.key(), kClaims.key()};
}

void StatefulSetController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                      const ObjectRef& object) {
  if (resource.resource == kStatefulSets.plural) {
    return enqueue((object ? object : previous)->name);
  }
  enqueue_controller(previous, kStatefulSets.kind);
  enqueue_controller(object, kStatefulSets.kind);
  if (resource.resource != kPods.plural || object == nullptr || object->controller() != nullptr) {
    return;
  }
  context_.cache.for_each(kStatefulSets.key(), object->name.ns, [&](const ObjectRef& set) {
    if (ordinal_of(object->name.name, set->name.name) >= 0) enqueue(set->name);
    return true;
  });
}

void StatefulSetController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kStatefulSets, key);
  if (object == nullptr) return;
  auto state = std::make_shared<State>();
  state->set = api::decode(*object);
  const json::Value& spec = state->set["spec"];
  auto selector = api::LabelMatch::of_selector(spec["selector"]);
  if (selector.empty()) return;
  Claimed pods = claim_objects(context_, pass, kPods, state->set, selector, [&](const Object& pod) {
    return ordinal_of(pod.name.name, key.name) >= 0;
  });
  Claimed revisions = claim_objects(context_, pass, kControllerRevisions, state->set, selector);
  if (pods.changing || revisions.changing) return;
  for (api::PodView& pod : decode_pods(pods.objects)) {
    int64_t ordinal = ordinal_of(pod.name(), key.name);
    if (ordinal >= 0) state->pods.emplace(ordinal, std::move(pod));
  }
  state->start = spec["ordinals"]["start"].as_int();
  state->replicas = api::int_field(spec, "replicas", 1);
  state->revisions = decode_revisions(revisions.objects);
  if (object->deleting) return;
  CurrentRevision update =
      sync_revision(context_, pass, kStatefulSets, state->set, state->revisions, kStyle);
  if (update.found == nullptr) return;
  state->update = update.found;
  state->collisions = update.collisions;
  std::string current = state->set["status"]["currentRevision"].text();
  for (const Revision& r : state->revisions) {
    if (r.name == current) state->current = &r;
  }
  if (state->current == nullptr) state->current = state->update;

  std::vector<StatefulPod> wanted, surplus;
  int64_t min_ready = spec["minReadySeconds"].as_int();
  auto describe = [&](int64_t ordinal, const api::PodView& pod) {
    StatefulPod p{ordinal, true, false, false, pod.deleting(), pod.terminal(), false};
    p.healthy = pod.phase == api::PodPhase::kRunning && pod.ready && !pod.deleting();
    p.available = p.healthy && pod.available(min_ready, now_us());
    p.updated = state->revision_of(pod) == state->update->name;
    if (p.healthy && !p.available) {
      pass->again_after_ms((pod.available_at(min_ready) - now_us()) / 1000 + 1);
    }
    return p;
  };
  for (int64_t i = state->start; i < state->start + state->replicas; ++i) {
    auto it = state->pods.find(i);
    wanted.push_back(it != state->pods.end() ? describe(i, it->second) : StatefulPod{i});
  }
  for (auto it = state->pods.rbegin(); it != state->pods.rend(); ++it) {
    if (it->first < state->start || it->first >= state->start + state->replicas) {
      surplus.push_back(describe(it->first, it->second));
    }
  }
  StatefulRules rules{spec["podManagementPolicy"].as_string() == "Parallel",
                      spec["updateStrategy"]["type"].as_string() == "OnDelete",
                      spec["updateStrategy"]["rollingUpdate"]["partition"].as_int()};
  act(state, pass, plan_stateful(rules, wanted, surplus));
  keep_claims(state, pass);
  write_status(*state, pass);
  std::vector<std::string> live{state->current->name, state->update->name};
  for (const auto& [ordinal, pod] : state->pods) live.push_back(state->revision_of(pod));
  truncate_revisions(pass, state->set, state->revisions, live);
}

void StatefulSetController::act(const std::shared_ptr<State>& state, const PassRef& pass,
                                const StatefulPlan& plan) {
  std::string set_name = pass->key().name;
  for (int64_t ordinal : plan.create) create_pod(state, pass, ordinal);
  for (int64_t ordinal : plan.remove) {
    const api::PodView& pod = state->pods.at(ordinal);
    if (pod.phase == api::PodPhase::kFailed) {
      event(state->set, true, "RecreatingFailedPod",
            "StatefulSet " + pass->key().text() + " is recreating failed Pod " + pod.name());
    } else if (pod.phase == api::PodPhase::kSucceeded) {
      event(state->set, false, "RecreatingTerminatedPod",
            "StatefulSet " + pass->key().text() + " is recreating terminated Pod " + pod.name());
    }
    pass->write(delete_request(kPods, pod.object->name, pod.uid()),
                [this, state, pass, set_name, name = pod.name()](Result<ObjectRef> answer) {
                  if (answer.ok()) {
                    return event(
                        state->set, false, "SuccessfulDelete",
                        "Delete Pod " + name + " in StatefulSet " + set_name + " successful");
                  }
                  if (answer.error().code == Code::kNotFound) return;
                  event(state->set, true, "FailedDelete",
                        "Delete Pod " + name + " in StatefulSet " + set_name +
                            " failed error: " + answer.error().message);
                  pass->fail(answer.error());
                });
  }
}

// Claims first: a pod whose claims could not be made is not made.
void StatefulSetController::create_pod(const std::shared_ptr<State>& state, const PassRef& pass,
                                       int64_t ordinal) {
  const json::Value& strategy = state->set["spec"]["updateStrategy"];
  const json::Value& rolling = strategy["rollingUpdate"];
  bool of_current = false;
  if (strategy["type"].as_string() != "OnDelete") {
    int64_t keep = rolling.is_object() ? rolling["partition"].as_int()
                                       : state->set["status"]["currentReplicas"].as_int();
    of_current = ordinal < (rolling.is_object() ? keep : state->start + keep);
  }
  const Revision& revision = of_current ? *state->current : *state->update;
  json::Value pod = stateful_pod(state->set, template_of(revision), revision.name, ordinal);
  std::string set_name = pass->key().name;
  std::string name = pod["metadata"]["name"].text();
  auto refused = std::make_shared<bool>(false);
  for (json::Value& claim : stateful_claims(state->set, ordinal)) {
    std::string claim_name = claim["metadata"]["name"].text();
    if (context_.get(kClaims, {pass->key().ns, claim_name}) != nullptr) continue;
    pass->write(create_request(kClaims, pass->key().ns, std::move(claim)),
                [this, state, pass, refused, claim_name, name, set_name](Result<ObjectRef> answer) {
                  std::string what =
                      "Create Claim " + claim_name + " Pod " + name + " in StatefulSet " + set_name;
                  if (answer.ok()) {
                    return event(state->set, false, "SuccessfulCreate", what + " success");
                  }
                  if (answer.error().code == Code::kAlreadyExists) return;
                  event(state->set, true, "FailedCreate",
                        what + " failed error: " + answer.error().message);
                  *refused = true;
                  pass->fail(answer.error());
                });
  }
  pass->join([this, state, pass, refused, pod, name, set_name] {
    if (*refused) return;
    pass->write(create_request(kPods, pass->key().ns, pod), [this, state, pass, name,
                                                             set_name](Result<ObjectRef> answer) {
      std::string what = "Create Pod " + name + " in StatefulSet " + set_name;
      if (answer.ok()) {
        return event(state->set, false, "SuccessfulCreate", what + " successful");
      }
      pass->fail(answer.error());
      if (answer.error().code == Code::kAlreadyExists || is_namespace_terminating(answer.error())) {
        return;
      }
      event(state->set, true, "FailedCreate", what + " failed error: " + answer.error().message);
    });
  });
}

// With whenScaled: Delete, a claim belongs to its pod once that pod is to go.
void StatefulSetController::keep_claims(const std::shared_ptr<State>& state, const PassRef& pass) {
  const json::Value& policy = state->set["spec"]["persistentVolumeClaimRetentionPolicy"];
  bool when_scaled = policy["whenScaled"].as_string() == "Delete";
  bool when_deleted = policy["whenDeleted"].as_string() == "Delete";
  if (!when_scaled && !when_deleted) return;
  std::string set_uid = state->set["metadata"]["uid"].text();
  for (const auto& [ordinal, pod] : state->pods) {
    bool surplus = ordinal < state->start || ordinal >= state->start + state->replicas;
    for (const json::Value& wanted : stateful_claims(state->set, ordinal)) {
      ObjectRef claim = context_.get(kClaims, {pass->key().ns, wanted["metadata"]["name"].text()});
      if (claim == nullptr || claim->controller() != nullptr) {
        if (claim == nullptr || claim->controller()->uid != set_uid) continue;
      }
      bool of_pod = when_scaled && surplus;
      json::Value references = json::Value::array();
      for (const OwnerRef& o : claim->owners) {
        if (o.uid == set_uid || o.uid == pod.uid()) continue;
        references.push_back(json::Value::object(
            {{"apiVersion", o.api_version}, {"kind", o.kind}, {"name", o.name}, {"uid", o.uid}}));
      }
      if (of_pod) {
        references.push_back(json::Value::object({{"apiVersion", "v1"},
                                                  {"kind", "Pod"},
                                                  {"name", pod.name()},
                                                  {"uid", pod.uid()},
                                                  {"controller", true},
                                                  {"blockOwnerDeletion", true}}));
      } else if (when_deleted) {
        references.push_back(api::controller_reference(state->set));
      }
      std::vector<std::string> have, want;
      for (const OwnerRef& o : claim->owners) have.push_back(o.uid);
      for (const json::Value& r : references.elements()) want.push_back(r["uid"].text());
      if (have == want) continue;
      json::Value changed = api::decode(*claim);
      changed.member("metadata").set("ownerReferences", std::move(references));
      pass->write(update_request(kClaims, changed));
    }
  }
}

void StatefulSetController::write_status(const State& state, const PassRef& pass) {
  const json::Value& spec = state.set["spec"];
  int64_t replicas = 0, ready = 0, available = 0, current = 0, updated = 0;
  for (const auto& [ordinal, pod] : state.pods) {
    ++replicas;
    bool running_ready = pod.phase == api::PodPhase::kRunning && pod.ready;
    ready += running_ready;
    available += running_ready && pod.available(spec["minReadySeconds"].as_int(), now_us());
    if (pod.deleting()) continue;
    std::string revision = state.revision_of(pod);
    current += revision == state.current->name;
    updated += revision == state.update->name;
  }
  std::string current_name = state.current->name;
  bool rolling = spec["updateStrategy"]["type"].as_string() != "OnDelete";
  if (rolling && updated == replicas && ready == replicas && updated == state.replicas) {
    current = updated;
    current_name = state.update->name;
  }
  json::Value changed = state.set;
  json::Value& status = changed.member("status");
  api::set_or_erase(status, "observedGeneration", changed["metadata"]["generation"].as_int());
  status.set("replicas", replicas);
  api::set_or_erase(status, "readyReplicas", ready);
  api::set_or_erase(status, "currentReplicas", current);
  api::set_or_erase(status, "updatedReplicas", updated);
  status.set("availableReplicas", available);
  status.set("currentRevision", current_name).set("updateRevision", state.update->name);
  status.set("collisionCount", state.collisions);
  if (changed["status"] == state.set["status"]) return;
  pass->write(update_request(kStatefulSets, changed, "status"));
}

}  // namespace knarr::server
