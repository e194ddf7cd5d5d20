#include "server/controllers/replica_set.h"

#include <algorithm>

#include "api/view/meta.h"
#include "base/time.h"

namespace knarr::server {

namespace {
constexpr int64_t kBurst = 500;  // pods created or deleted in one pass
}

struct ReplicaSetController::State {
  json::Value set;
  std::vector<api::PodView> active;
  int64_t terminating = 0;
};

ReplicaCounts count_replicas(const std::vector<api::PodView>& active, int64_t terminating,
                             const api::LabelMatch& template_labels, int64_t min_ready_seconds,
                             int64_t now_us) {
  ReplicaCounts counts;
  counts.replicas = static_cast<int64_t>(active.size());
  counts.terminating = terminating;
  for (const api::PodView& pod : active) {
    counts.fully_labeled += template_labels.matches(*pod.object);
    counts.ready += pod.ready;
    if (pod.available(min_ready_seconds, now_us)) {
      ++counts.available;
    } else if (int64_t at = pod.available_at(min_ready_seconds); at != 0) {
      if (counts.next_available_us == 0 || at < counts.next_available_us) {
        counts.next_available_us = at;
      }
    }
  }
  return counts;
}

ReplicaSetController::ReplicaSetController(const ControllerContext& context, Flavor flavor)
    : Controller(context, flavor == Flavor::kReplicaSet ? "replicaset-controller"
                                                        : "replication-controller"),
      flavor_(flavor),
      resource_(flavor == Flavor::kReplicaSet ? kReplicaSets : kReplicationControllers) {}

std::vector<GroupResource> ReplicaSetController::watches() const {
  return {resource_.key(), kPods.key()};
}

api::LabelMatch ReplicaSetController::selector_of(const json::Value& set) const {
  const json::Value& selector = set["spec"]["selector"];
  return flavor_ == Flavor::kReplicaSet ? api::LabelMatch::of_selector(selector)
                                        : api::LabelMatch::of_map(selector);
}

void ReplicaSetController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                     const ObjectRef& object) {
  if (resource.resource == kPods.plural) return on_pod(previous, object);
  enqueue((object ? object : previous)->name);
}

void ReplicaSetController::on_pod(const ObjectRef& previous, const ObjectRef& object) {
  enqueue_controller(previous, resource_.kind);
  enqueue_controller(object, resource_.kind);
  if (object == nullptr || object->controller() != nullptr || object->deleting) return;
  // An orphan: whoever selects it may adopt it. Said again only when that could have changed.
  if (previous != nullptr && previous->labels == object->labels &&
      previous->controller() == nullptr) {
    return;
  }
  context_.cache.for_each(resource_.key(), object->name.ns, [&](const ObjectRef& set) {
    if (selector_of(api::decode(*set)).matches(*object)) enqueue(set->name);
    return true;
  });
}

void ReplicaSetController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(resource_, key);
  if (object == nullptr) return;
  auto state = std::make_shared<State>();
  state->set = api::decode(*object);
  const json::Value& spec = state->set["spec"];
  Claimed claimed = claim_objects(
      context_, pass, kPods, state->set, selector_of(state->set), [](const Object& pod) {
        const std::string* phase = pod.field("status.phase");
        return phase == nullptr || (*phase != "Succeeded" && *phase != "Failed");
      });
  if (claimed.changing) return;
  for (api::PodView& pod : decode_pods(claimed.objects)) {
    state->terminating += pod.terminating();
    if (pod.active()) state->active.push_back(std::move(pod));
  }
  int64_t difference =
      static_cast<int64_t>(state->active.size()) - api::int_field(spec, "replicas", 1);
  if (object->deleting || difference == 0) {
    return write_status(pass, *state, nullptr, object->deleting ? 0 : difference);
  }
  if (difference < 0) {
    create(pass, state, std::min(-difference, kBurst));
  } else {
    remove(pass, state, std::min(difference, kBurst));
  }
}

void ReplicaSetController::create(const PassRef& pass, const std::shared_ptr<State>& state,
                                  int64_t count) {
  BatchCreate how;
  how.make = [state](int64_t) {
    return pod_of_template(state->set["spec"]["template"], state->set,
                           state->set["metadata"]["name"].text());
  };
  how.each = [this, state](int64_t, const Result<ObjectRef>& answer) {
    if (answer.ok()) {
      event(state->set, false, "SuccessfulCreate", "Created pod: " + (*answer)->name.name);
    } else if (!is_namespace_terminating(answer.error())) {
      event(state->set, true, "FailedCreate", "Error creating: " + answer.error().message);
    }
  };
  how.done = [this, state, pass, count](int64_t created, const Error* error) {
    if (error == nullptr || is_namespace_terminating(*error)) {
      // The new pods' events bring the key back; the count of now is told meanwhile, as upstream
      // tells it.
      if (error != nullptr) write_status(pass, *state, nullptr, 0);
      return;
    }
    pass->fail(*error);
    if (created == 0) write_status(pass, *state, error, -count);
  };
  create_pods(pass, pass->key().ns, count, std::move(how));
}

void ReplicaSetController::remove(const PassRef& pass, const std::shared_ptr<State>& state,
                                  int64_t count) {
  // Pods share a rank with the pods of related sets (of the same owner) on their node.
  std::map<std::string, int> on_node, rank;
  auto count_pods = [&](const std::vector<api::PodView>& pods) {
    for (const api::PodView& pod : pods) {
      if (pod.active() && !pod.node.empty()) ++on_node[pod.node];
    }
  };
  ObjectRef self = context_.get(resource_, pass->key());
  const OwnerRef* owner = self->controller();
  if (owner == nullptr) {
    count_pods(state->active);
  } else {
    for (const ObjectRef& set : controlled_objects(context_, resource_, owner->uid)) {
      count_pods(decode_pods(controlled_objects(context_, kPods, set->uid)));
    }
  }
  for (const api::PodView& pod : state->active) rank[pod.uid()] = on_node[pod.node];
  rank_victims(state->active, rank, now_us());
  auto failure = std::make_shared<std::unique_ptr<Error>>();
  for (int64_t i = 0; i < count; ++i) {
    const api::PodView& pod = state->active[static_cast<size_t>(i)];
    pass->write(delete_request(kPods, pod.object->name, pod.uid()),
                [this, state, pass, failure, name = pod.name()](Result<ObjectRef> answer) {
                  if (answer.ok()) {
                    return event(state->set, false, "SuccessfulDelete", "Deleted pod: " + name);
                  }
                  if (answer.error().code == Code::kNotFound) return;
                  event(state->set, true, "FailedDelete",
                        "Error deleting: " + answer.error().message);
                  *failure = std::make_unique<Error>(answer.error());
                  pass->fail(answer.error());
                });
  }
  pass->join([this, state, pass, failure, count] {
    if (*failure != nullptr) write_status(pass, *state, failure->get(), count);
  });
}

void ReplicaSetController::write_status(const PassRef& pass, const State& state,
                                        const Error* failure, int64_t difference) {
  const json::Value& spec = state.set["spec"];
  int64_t min_ready = spec["minReadySeconds"].as_int();
  ReplicaCounts counts = count_replicas(
      state.active, state.terminating,
      api::LabelMatch::of_map(spec["template"]["metadata"]["labels"]), min_ready, now_us());
  if (counts.next_available_us != 0) {
    pass->again_after_ms((counts.next_available_us - now_us()) / 1000 + 1);
  }
  json::Value changed = state.set;
  json::Value& status = changed.member("status");
  status.set("replicas", counts.replicas);
  api::set_or_erase(status, "fullyLabeledReplicas", counts.fully_labeled);
  api::set_or_erase(status, "readyReplicas", counts.ready);
  api::set_or_erase(status, "availableReplicas", counts.available);
  if (flavor_ == Flavor::kReplicaSet) status.set("terminatingReplicas", counts.terminating);
  api::set_or_erase(status, "observedGeneration", changed["metadata"]["generation"].as_int());

  bool has = api::condition_is(status["conditions"], "ReplicaFailure", "True");
  if (failure == nullptr && has) {
    json::Value kept = json::Value::array();
    for (const json::Value& c : status["conditions"].elements()) {
      if (c["type"].as_string() != "ReplicaFailure") kept.push_back(c);
    }
    if (kept.empty()) {
      status.erase("conditions");
    } else {
      status.set("conditions", std::move(kept));
    }
  } else if (failure != nullptr && !has) {
    status.member("conditions")
        .push_back(
            json::Value::object({{"type", "ReplicaFailure"},
                                 {"status", "True"},
                                 {"lastTransitionTime", base::format_time(now_us())},
                                 {"reason", difference < 0 ? "FailedCreate" : "FailedDelete"},
                                 {"message", failure->message}}));
  }
  if (changed["status"] == state.set["status"]) return;
  pass->write(update_request(resource_, changed, "status"));
}

}  // namespace knarr::server
