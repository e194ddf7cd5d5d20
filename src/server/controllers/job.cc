#include "server/controllers/job.h"

#include "api/view/meta.h"
#include "server/controllers/pods.h"

namespace knarr::server {

namespace {
const std::string kPodPrefix = "pod/";  // of keys that name a pod and not a Job
}  // namespace

struct JobController::State {
  json::Value job;
  std::vector<api::PodView> pods;
  JobPlan plan;
};

JobController::JobController(const ControllerContext& context)
    : Controller(context, "job-controller") {}

std::vector<GroupResource> JobController::watches() const { return {kJobs.key(), kPods.key()}; }

void JobController::on_change(const GroupResource& resource, const ObjectRef& previous,
                              const ObjectRef& object) {
  if (resource.resource == kJobs.plural) {
    const ObjectRef& job = object ? object : previous;
    return enqueue(job->name);
  }
  enqueue_controller(previous, kJobs.kind);
  enqueue_controller(object, kJobs.kind);
  bool lone = object != nullptr && object->controller() == nullptr;
  if (lone && object->json.find(kJobFinalizer) != std::string::npos) {
    enqueue({object->name.ns, kPodPrefix + object->name.name});
  }
}

void JobController::release(const PassRef& pass, const ObjectRef& pod) {
  json::Value patch = json::Value::object(
      {{"metadata", json::Value::object({{"uid", pod->uid},
                                         {"$deleteFromPrimitiveList/finalizers",
                                          json::Value::array({kJobFinalizer})}})}});
  pass->write(patch_request(kPods, pod->name, patch), [pass](Result<ObjectRef> answer) {
    if (answer.ok() || answer.error().code == Code::kNotFound ||
        answer.error().code == Code::kConflict) {
      return;
    }
    pass->fail(answer.error());
  });
}

// Pods whose Job is gone, or another now: nobody counts them any more.
void JobController::release_orphans(const NamespacedName& key, const PassRef& pass) {
  ObjectRef job = context_.get(kJobs, key);
  std::vector<ObjectRef> orphans;
  context_.cache.for_each(kPods.key(), key.ns, [&](const ObjectRef& pod) {
    const OwnerRef* owner = pod->controller();
    if (owner != nullptr && owner->kind == kJobs.kind && owner->name == key.name &&
        (job == nullptr || job->uid != owner->uid)) {
      orphans.push_back(pod);
    }
    return true;
  });
  for (const ObjectRef& pod : orphans) {
    if (has_job_finalizer(api::decode(*pod))) release(pass, pod);
  }
}

// A pod that belongs to no Job any more.
void JobController::release_lone(const NamespacedName& name, const PassRef& pass) {
  ObjectRef pod = context_.get(kPods, name);
  if (pod != nullptr && pod->controller() == nullptr && has_job_finalizer(api::decode(*pod))) {
    release(pass, pod);
  }
}

void JobController::reconcile(const NamespacedName& key, const PassRef& pass) {
  if (key.name.compare(0, kPodPrefix.size(), kPodPrefix) == 0) {
    return release_lone({key.ns, key.name.substr(kPodPrefix.size())}, pass);
  }
  ObjectRef object = context_.get(kJobs, key);
  if (object == nullptr) return release_orphans(key, pass);
  auto state = std::make_shared<State>();
  state->job = api::decode(*object);
  const json::Value& manager = state->job["spec"]["managedBy"];
  if (manager.is_string() && manager.as_string() != "kubernetes.io/job-controller") return;
  if (job_finished(state->job)) {
    for (const ObjectRef& pod : controlled_objects(context_, kPods, object->uid)) {
      if (has_job_finalizer(api::decode(*pod))) release(pass, pod);
    }
    return;
  }
  Claimed claimed = claim_objects(context_, pass, kPods, state->job,
                                  api::LabelMatch::of_selector(state->job["spec"]["selector"]),
                                  nullptr, kJobFinalizer);
  if (claimed.changing) return;
  state->pods = decode_pods(claimed.objects);
  state->plan = plan_job(state->job, state->pods, now_us());
  if (object->deleting) {
    // Its pods go with it: they are not replaced, only let go.
    state->plan.create = 0;
    state->plan.remove.clear();
  }
  act(state, pass);
}

void JobController::act(const std::shared_ptr<State>& state, const PassRef& pass) {
  if (state->plan.again_ms >= 0) pass->again_after_ms(state->plan.again_ms);
  auto rest = [this, state, pass] {
    for (const JobEvent& e : state->plan.events) event(state->job, e.warning, e.reason, e.message);
    for (const api::PodView* pod : state->plan.release) release(pass, pod->object);
    remove(state, pass);
    create(state, pass);
  };
  if (state->plan.status == state->job["status"]) return rest();
  json::Value changed = state->job;
  changed.set("status", state->plan.status);
  // Named as uncounted before any finalizer goes: that is what makes the count exact.
  pass->write(update_request(kJobs, changed, "status"), [pass, rest](Result<ObjectRef> answer) {
    if (!answer.ok()) return pass->fail(answer.error());
    rest();
  });
}

void JobController::remove(const std::shared_ptr<State>& state, const PassRef& pass) {
  for (const api::PodView* pod : state->plan.remove) {
    pass->write(delete_request(kPods, pod->object->name, pod->uid()),
                [this, state, pass, pod, name = pod->name()](Result<ObjectRef> answer) {
                  if (answer.ok()) {
                    if (state->plan.remove_uncounted) release(pass, pod->object);
                    return event(state->job, false, "SuccessfulDelete", "Deleted pod: " + name);
                  }
                  if (answer.error().code == Code::kNotFound) return;
                  event(state->job, true, "FailedDelete",
                        "Error deleting: " + answer.error().message);
                  pass->fail(answer.error());
                });
  }
}

namespace {

// What an index adds to a pod: its name, hostname, and how the container learns of it.
void add_index(json::Value& pod, const json::Value& job, int64_t index, int64_t failures,
               bool per_index) {
  std::string text = std::to_string(index);
  std::string job_name = job["metadata"]["name"].text();
  json::Value& meta = pod.member("metadata");
  meta.set("generateName", job_name + "-" + text + "-");
  meta.member("annotations").set(kJobIndexKey, text);
  if (per_index) meta.member("annotations").set(kJobIndexFailures, std::to_string(failures));
  meta.member("labels").set(kJobIndexKey, text);
  json::Value& spec = pod.member("spec");
  spec.set("hostname", job_name + "-" + text);
  std::string path = std::string("metadata.labels['") + kJobIndexKey + "']";
  for (const char* list : {"initContainers", "containers"}) {
    json::Value* containers = spec.find(list);
    if (containers == nullptr) continue;
    for (json::Value& c : containers->elements()) {
      bool has = false;
      for (const json::Value& e : c["env"].elements()) {
        has |= e["name"].as_string() == "JOB_COMPLETION_INDEX";
      }
      if (has) continue;
      c.member("env").push_back(json::Value::object(
          {{"name", "JOB_COMPLETION_INDEX"},
           {"valueFrom",
            json::Value::object({{"fieldRef", json::Value::object({{"fieldPath", path}})}})}}));
    }
  }
}

int64_t failures_of_index(const std::vector<api::PodView>& pods, int64_t index) {
  int64_t failures = 0;
  for (const api::PodView& pod : pods) {
    if (job_pod_index(pod.value) != index || pod.phase != api::PodPhase::kFailed) continue;
    std::string text = pod.value["metadata"]["annotations"][kJobIndexFailures].text();
    failures = std::max<int64_t>(failures, std::strtoll(text.c_str(), nullptr, 10) + 1);
  }
  return failures;
}

}  // namespace

void JobController::create(const std::shared_ptr<State>& state, const PassRef& pass) {
  if (state->plan.create == 0) return;
  BatchCreate how;
  how.make = [state](int64_t i) {
    json::Value pod = pod_of_template(state->job["spec"]["template"], state->job,
                                      state->job["metadata"]["name"].text());
    pod.member("metadata").member("finalizers").push_back(kJobFinalizer);
    if (!state->plan.indexes.empty()) {
      int64_t index = state->plan.indexes[static_cast<size_t>(i)];
      add_index(pod, state->job, index, failures_of_index(state->pods, index),
                state->job["spec"]["backoffLimitPerIndex"].is_integer());
    }
    return pod;
  };
  how.each = [this, state](int64_t, const Result<ObjectRef>& answer) {
    if (answer.ok()) {
      event(state->job, false, "SuccessfulCreate", "Created pod: " + (*answer)->name.name);
    } else if (!is_namespace_terminating(answer.error())) {
      event(state->job, true, "FailedCreate", "Error creating: " + answer.error().message);
    }
  };
  how.done = [pass](int64_t, const Error* error) {
    if (error != nullptr && !is_namespace_terminating(*error)) pass->fail(*error);
  };
  create_pods(pass, pass->key().ns, std::min<int64_t>(state->plan.create, 500), std::move(how));
}

TtlAfterFinishedController::TtlAfterFinishedController(const ControllerContext& context)
    : Controller(context, "ttl-after-finished-controller") {}

void TtlAfterFinishedController::on_change(const GroupResource&, const ObjectRef&,
                                           const ObjectRef& object) {
  if (object != nullptr && !object->deleting) enqueue(object->name);
}

void TtlAfterFinishedController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kJobs, key);
  if (object == nullptr || object->deleting) return;
  json::Value job = api::decode(*object);
  const json::Value& ttl = job["spec"]["ttlSecondsAfterFinished"];
  int64_t finished = 0;
  if (!ttl.is_integer() || !job_finished(job, &finished)) return;
  int64_t left = finished + ttl.as_int() * 1000000 - now_us();
  if (left > 0) return pass->again_after_ms(left / 1000 + 1);
  pass->remove(delete_request(kJobs, key, object->uid, "Foreground"));
}

}  // namespace knarr::server
