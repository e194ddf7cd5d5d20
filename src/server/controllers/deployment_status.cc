// What a Deployment's status says: counts, Available, Progressing and ReplicaFailure.
#include <algorithm>

#include "api/view/meta.h"
#include "server/controllers/conditions.h"
#include "server/controllers/deployment.h"
#include "server/controllers/deployment_annotations.h"

namespace knarr::server {

json::Value DeploymentController::status_of(State& state) const {
  int64_t replicas = 0, ready = 0, available = 0, terminating = 0;
  bool knows_terminating = true;
  for (const Set& s : state.sets) {
    const json::Value& status = s.value["status"];
    replicas += s.size.existing;
    available += s.size.available;
    ready += status["readyReplicas"].as_int();
    terminating += status["terminatingReplicas"].as_int();
    knows_terminating &= status.has("terminatingReplicas");
  }
  Set* fresh = state.new_set();
  json::Value status = state.deployment["status"];
  if (!status.is_object()) status = json::Value::object();
  api::set_or_erase(status, "observedGeneration",
                    state.deployment["metadata"]["generation"].as_int());
  api::set_or_erase(status, "replicas", replicas);
  api::set_or_erase(status, "updatedReplicas", fresh != nullptr ? fresh->size.existing : 0);
  api::set_or_erase(status, "readyReplicas", ready);
  api::set_or_erase(status, "availableReplicas", available);
  api::set_or_erase(status, "unavailableReplicas",
                    std::max<int64_t>(0, state.total_size() - available));
  if (knows_terminating) {
    status.set("terminatingReplicas", terminating);
  } else {
    status.erase("terminatingReplicas");
  }
  bool enough = available >= state.spec.replicas - state.spec.max_unavailable;
  set_deployment_condition(status,
                           enough
                               ? ConditionText{"Available", "True", "MinimumReplicasAvailable",
                                               "Deployment has minimum availability."}
                               : ConditionText{"Available", "False", "MinimumReplicasUnavailable",
                                               "Deployment does not have minimum availability."},
                           now_us());
  return status;
}

namespace {

bool has_progressed(const json::Value& before, const json::Value& after) {
  auto count = [](const json::Value& s, const char* key) { return s[key].as_int(); };
  int64_t old_before = count(before, "replicas") - count(before, "updatedReplicas");
  int64_t old_after = count(after, "replicas") - count(after, "updatedReplicas");
  return count(after, "updatedReplicas") > count(before, "updatedReplicas") ||
         old_after < old_before || count(after, "readyReplicas") > count(before, "readyReplicas") ||
         count(after, "availableReplicas") > count(before, "availableReplicas");
}

bool has_timed_out(const json::Value& deployment, const json::Value& progressing, int64_t now_us) {
  if (progressing.is_null()) return false;
  std::string_view reason = progressing["reason"].as_string();
  if (reason == "NewReplicaSetAvailable") return false;
  if (reason == "ProgressDeadlineExceeded") return true;
  int64_t deadline = deployment["spec"]["progressDeadlineSeconds"].as_int();
  return api::time_field(progressing, "lastUpdateTime") + deadline * 1000000 < now_us;
}

}  // namespace

void DeploymentController::judge_progress(State& state, json::Value& status) const {
  json::Value current = api::condition(status["conditions"], "Progressing");
  bool settled = status["replicas"].as_int() == status["updatedReplicas"].as_int() &&
                 current["reason"].as_string() == "NewReplicaSetAvailable";
  if (settled) return;
  std::string who = "Deployment \"" + state.deployment["metadata"]["name"].text() + "\"";
  if (Set* fresh = state.new_set()) who = "ReplicaSet \"" + fresh->object->name.name + "\"";
  if (is_complete(state.deployment, status)) {
    set_deployment_condition(
        status,
        {"Progressing", "True", "NewReplicaSetAvailable", who + " has successfully progressed."},
        now_us());
  } else if (has_progressed(state.deployment["status"], status)) {
    // Every step counts anew towards the deadline: told again even when the words are the same.
    std::string transition = current["status"].as_string() == "True"
                                 ? current["lastTransitionTime"].text()
                                 : std::string();
    remove_condition(status, "Progressing");
    set_deployment_condition(
        status, {"Progressing", "True", "ReplicaSetUpdated", who + " is progressing."}, now_us());
    if (!transition.empty()) {
      json::Value& conditions = status.member("conditions");
      conditions.at(conditions.size() - 1).set("lastTransitionTime", transition);
    }
  } else if (has_timed_out(state.deployment, current, now_us())) {
    set_deployment_condition(
        status,
        {"Progressing", "False", "ProgressDeadlineExceeded", who + " has timed out progressing."},
        now_us());
  }
}

void DeploymentController::write_rollout_status(State& state, const PassRef& pass) {
  json::Value status = status_of(state);
  if (has_progress_deadline(state.deployment)) {
    judge_progress(state, status);
  } else {
    remove_condition(status, "Progressing");
  }
  // A set that can't make its pods speaks for the Deployment; the new one first.
  json::Value failure;
  for (const Set& s : state.sets) {
    const json::Value& c = api::condition(s.value["status"]["conditions"], "ReplicaFailure");
    if (c.is_null()) continue;
    if (failure.is_null() || &s == state.new_set()) failure = c;
  }
  if (failure.is_null()) {
    remove_condition(status, "ReplicaFailure");
  } else {
    set_deployment_condition(status,
                             {"ReplicaFailure", failure["status"].as_string(),
                              failure["reason"].as_string(), failure["message"].as_string()},
                             now_us());
  }
  write_status(state, std::move(status), pass);
}

void DeploymentController::write_plain_status(State& state, const PassRef& pass) {
  write_status(state, status_of(state), pass);
}

void DeploymentController::write_status(State& state, json::Value status, const PassRef& pass) {
  ObjectRef stored = context_.get(kDeployments, pass->key());
  if (stored == nullptr) return;
  json::Value changed = api::decode(*stored);
  bool same = changed["status"] == status;
  state.deployment.set("status", status);
  come_back_for_deadline(state, pass);
  if (same) return;
  changed.set("status", std::move(status));
  // The status is of the generation this pass has read, so it may only follow that revision.
  changed.member("metadata")
      .set("resourceVersion", state.deployment["metadata"]["resourceVersion"]);
  pass->write(update_request(kDeployments, changed, "status"));
}

void DeploymentController::come_back_for_deadline(State& state, const PassRef& pass) {
  if (!has_progress_deadline(state.deployment)) return;
  const json::Value& status = state.deployment["status"];
  const json::Value& current = api::condition(status["conditions"], "Progressing");
  if (current.is_null() || is_complete(state.deployment, status) ||
      current["reason"].as_string() == "ProgressDeadlineExceeded" ||
      current["reason"].as_string() == "NewReplicaSetAvailable") {
    return;
  }
  int64_t at = api::time_field(current, "lastUpdateTime") +
               state.deployment["spec"]["progressDeadlineSeconds"].as_int() * 1000000;
  pass->again_after_ms((at - now_us()) / 1000 + 1000);
}

}  // namespace knarr::server
