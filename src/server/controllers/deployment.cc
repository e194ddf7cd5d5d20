#include "server/controllers/deployment.h"

#include <algorithm>

#include "api/view/meta.h"
#include "server/controllers/conditions.h"
#include "server/controllers/deployment_annotations.h"

namespace knarr::server {

namespace {

const char* kPausedReason = "DeploymentPaused";

}  // namespace

DeploymentController::DeploymentController(const ControllerContext& context)
    : Controller(context, "deployment-controller") {}

std::vector<GroupResource> DeploymentController::watches() const {
  return {kDeployments.key(), kReplicaSets.key(), kPods.key()};
}

void DeploymentController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                     const ObjectRef& object) {
  if (resource.resource == kDeployments.plural) {
    return enqueue((object ? object : previous)->name);
  }
  if (resource.resource == kPods.plural) {
    // Recreate waits for the last old pod to go.
    if (object != nullptr) return;
    const OwnerRef* owner = previous->controller();
    if (owner == nullptr || owner->kind != kReplicaSets.kind) return;
    return enqueue_controller(context_.get(kReplicaSets, {previous->name.ns, owner->name}),
                              kDeployments.kind);
  }
  enqueue_controller(previous, kDeployments.kind);
  enqueue_controller(object, kDeployments.kind);
  if (object == nullptr || object->controller() != nullptr || object->deleting) return;
  context_.cache.for_each(kDeployments.key(), object->name.ns, [&](const ObjectRef& d) {
    json::Value value = api::decode(*d);
    if (api::LabelMatch::of_selector(value["spec"]["selector"]).matches(*object)) {
      enqueue(d->name);
    }
    return true;
  });
}

std::vector<DeploymentController::Set*> DeploymentController::State::old_sets() {
  std::vector<Set*> old;
  for (size_t i = 0; i < sets.size(); ++i) {
    if (static_cast<int>(i) != newest) old.push_back(&sets[i]);
  }
  return old;
}

int64_t DeploymentController::State::total_size() const {
  int64_t total = 0;
  for (const Set& s : sets) total += s.size.replicas;
  return total;
}

bool DeploymentController::load_sets(State& state, const PassRef& pass,
                                     const api::LabelMatch& selector) {
  Claimed claimed = claim_objects(context_, pass, kReplicaSets, state.deployment, selector);
  if (claimed.changing) return false;
  for (const ObjectRef& object : claimed.objects) {
    Set set;
    set.object = object;
    set.value = api::decode(*object);
    const json::Value& status = set.value["status"];
    set.size.replicas = api::int_field(set.value["spec"], "replicas", 1);
    set.size.existing = status["replicas"].as_int();
    set.size.available = status["availableReplicas"].as_int();
    set.size.max_before = number_annotation(set.value, kMaxReplicas).value_or(0);
    set.size.created_at = api::creation_time(set.value);
    set.revision = number_annotation(set.value, kRevision).value_or(0);
    state.sets.push_back(std::move(set));
  }
  std::sort(state.sets.begin(), state.sets.end(), [](const Set& a, const Set& b) {
    if (a.size.created_at != b.size.created_at) return a.size.created_at < b.size.created_at;
    return a.object->name.name < b.object->name.name;
  });
  for (size_t i = 0; i < state.sets.size(); ++i) {
    if (same_template(state.deployment["spec"]["template"],
                      state.sets[i].value["spec"]["template"])) {
      state.newest = static_cast<int>(i);
      break;
    }
  }
  return true;
}

bool DeploymentController::refuse_select_all(const State& state, const PassRef& pass) {
  event(state.deployment, true, "SelectingAll",
        "This deployment is selecting all pods. A non-empty selector is required.");
  json::Value changed = state.deployment;
  int64_t generation = changed["metadata"]["generation"].as_int();
  if (changed["status"]["observedGeneration"].as_int() < generation) {
    changed.member("status").set("observedGeneration", generation);
    pass->write(update_request(kDeployments, changed, "status"));
  }
  return true;
}

// A deadline that has passed stays told; only then is a pause not.
bool DeploymentController::sync_paused_condition(const State& state, const PassRef& pass) {
  const json::Value& spec = state.deployment["spec"];
  if (!has_progress_deadline(state.deployment)) return false;
  const json::Value& current =
      api::condition(state.deployment["status"]["conditions"], "Progressing");
  if (current["reason"].as_string() == "ProgressDeadlineExceeded") return false;
  bool told = current["reason"].as_string() == kPausedReason;
  bool paused = spec["paused"].as_bool();
  if (paused == told) return false;
  json::Value changed = state.deployment;
  set_deployment_condition(
      changed.member("status"),
      paused
          ? ConditionText{"Progressing", "Unknown", kPausedReason, "Deployment is paused"}
          : ConditionText{"Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed"},
      now_us());
  pass->write(update_request(kDeployments, changed, "status"));
  return true;
}

bool DeploymentController::is_scaling_event(State& state) const {
  return std::any_of(state.sets.begin(), state.sets.end(), [&](const Set& set) {
    auto desired = number_annotation(set.value, kDesiredReplicas);
    return set.size.replicas > 0 && desired && *desired != state.spec.replicas;
  });
}

void DeploymentController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kDeployments, key);
  if (object == nullptr) return;
  auto state = std::make_shared<State>();
  state->deployment = api::decode(*object);
  state->spec = rollout_spec(state->deployment);
  const json::Value& spec = state->deployment["spec"];
  auto selector = api::LabelMatch::of_selector(spec["selector"]);
  if (selector.empty()) {
    refuse_select_all(*state, pass);
    return;
  }
  if (!load_sets(*state, pass, selector)) return;
  if (object->deleting) return write_plain_status(*state, pass);
  if (sync_paused_condition(*state, pass)) return;
  bool paused = spec["paused"].as_bool();
  if (paused || is_scaling_event(*state)) {
    if (sync_new_set(state, pass, false)) return;
    scale(*state, pass);
    if (paused) clean_up(*state, pass);
    return write_plain_status(*state, pass);
  }
  if (state->spec.recreate) return recreate(state, pass);
  roll(state, pass);
}

bool DeploymentController::resize(State& state, Set& set, int64_t size, const PassRef& pass,
                                  bool annotate) {
  int64_t from = set.size.replicas;
  if (size == from && !annotate) return false;
  json::Value changed = set.value;
  bool notes = set_replicas_annotations(changed, state.spec);
  if (size == from && !notes) return false;
  changed.member("spec").set("replicas", size);
  set.size.replicas = size;
  pass->write(update_request(kReplicaSets, changed),
              [this, pass, from, size, name = set.object->name.name,
               deployment = state.deployment](Result<ObjectRef> answer) {
                if (!answer.ok()) return pass->fail(answer.error());
                if (from == size) return;
                event(deployment, false, "ScalingReplicaSet",
                      fmt::format("Scaled {} replica set {} from {} to {}",
                                  size > from ? "up" : "down", name, from, size));
              });
  return true;
}

void DeploymentController::roll(const StateRef& ref, const PassRef& pass) {
  State& state = *ref;
  if (sync_new_set(ref, pass, true)) return;
  Set& fresh = *state.new_set();
  int64_t size = new_set_size(state.spec, fresh.size.replicas, state.total_size());
  if (size != fresh.size.replicas) {
    resize(state, fresh, size, pass);
    return write_rollout_status(state, pass);
  }
  std::vector<Set*> old = state.old_sets();
  std::vector<SetSize> sizes;
  for (Set* s : old) sizes.push_back(s->size);
  std::vector<int64_t> wanted = old_set_sizes(state.spec, sizes, &fresh.size);
  bool scaled = false;
  for (size_t i = 0; i < old.size(); ++i) {
    if (wanted[i] != old[i]->size.replicas) scaled |= resize(state, *old[i], wanted[i], pass);
  }
  if (!scaled && is_complete(state.deployment, state.deployment["status"])) clean_up(state, pass);
  write_rollout_status(state, pass);
}

bool DeploymentController::old_pods_left(State& state) const {
  for (Set* set : state.old_sets()) {
    for (const ObjectRef& object : controlled_objects(context_, kPods, set->object->uid)) {
      if (!api::PodView(object).terminal()) return true;
    }
  }
  return false;
}

void DeploymentController::recreate(const StateRef& ref, const PassRef& pass) {
  State& state = *ref;
  if (sync_new_set(ref, pass, false)) return;
  bool scaled = false;
  for (Set* set : state.old_sets()) {
    if (set->size.replicas > 0) scaled |= resize(state, *set, 0, pass);
  }
  if (scaled || old_pods_left(state)) return write_rollout_status(state, pass);
  if (sync_new_set(ref, pass, true)) return;
  Set& fresh = *state.new_set();
  if (fresh.size.replicas != state.spec.replicas) {
    resize(state, fresh, state.spec.replicas, pass);
  } else if (is_complete(state.deployment, state.deployment["status"])) {
    clean_up(state, pass);
  }
  write_rollout_status(state, pass);
}

bool DeploymentController::scale(State& state, const PassRef& pass) {
  std::vector<Set*> active;
  for (Set& s : state.sets) {
    if (s.size.replicas > 0) active.push_back(&s);
  }
  if (active.size() <= 1) {
    Set* one = active.size() == 1 ? active[0] : state.new_set();
    if (one == nullptr && !state.sets.empty()) one = &state.sets.back();
    if (one == nullptr || one->size.replicas == state.spec.replicas) {
      return one != nullptr && resize(state, *one, one->size.replicas, pass);
    }
    return resize(state, *one, state.spec.replicas, pass);
  }
  Set* fresh = state.new_set();
  bool saturated = fresh != nullptr && fresh->size.replicas == state.spec.replicas &&
                   fresh->size.available == state.spec.replicas &&
                   number_annotation(fresh->value, kDesiredReplicas) == state.spec.replicas;
  bool scaled = false;
  if (saturated) {
    for (Set* s : state.old_sets()) {
      if (s->size.replicas > 0) scaled |= resize(state, *s, 0, pass);
    }
    return scaled;
  }
  if (state.spec.recreate) return false;
  std::vector<SetSize> sizes;
  for (Set* s : active) sizes.push_back(s->size);
  std::vector<int64_t> wanted = proportional_sizes(state.spec, sizes);
  for (size_t i = 0; i < active.size(); ++i) scaled |= resize(state, *active[i], wanted[i], pass);
  return scaled;
}

void DeploymentController::clean_up(State& state, const PassRef& pass) {
  const json::Value& limit = state.deployment["spec"]["revisionHistoryLimit"];
  if (!limit.is_integer()) return;
  std::vector<Set*> old;
  for (Set* s : state.old_sets()) {
    if (!s->object->deleting) old.push_back(s);
  }
  int64_t surplus = static_cast<int64_t>(old.size()) - limit.as_int();
  std::stable_sort(old.begin(), old.end(),
                   [](const Set* a, const Set* b) { return a->revision < b->revision; });
  for (int64_t i = 0; i < surplus; ++i) {
    const Set& s = *old[static_cast<size_t>(i)];
    bool observed = s.value["metadata"]["generation"].as_int() <=
                    s.value["status"]["observedGeneration"].as_int();
    if (s.size.replicas != 0 || s.size.existing != 0 || !observed) continue;
    pass->remove(delete_request(kReplicaSets, s.object->name, s.object->uid, "Background"));
  }
}

}  // namespace knarr::server
