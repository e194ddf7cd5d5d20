// The new ReplicaSet of a Deployment: found by its template or made, and its revision kept.
#include <algorithm>

#include "api/view/meta.h"
#include "server/controllers/conditions.h"
#include "server/controllers/deployment.h"
#include "server/controllers/deployment_annotations.h"

namespace knarr::server {

bool DeploymentController::sync_new_set(const StateRef& ref, const PassRef& pass, bool create) {
  State& state = *ref;
  int64_t revision = 0;
  for (Set* s : state.old_sets()) revision = std::max(revision, s->revision);
  ++revision;
  if (state.new_set() != nullptr) return sync_annotations(state, pass, revision);
  if (!create) return false;
  create_new_set(ref, pass, revision);
  return true;
}

bool DeploymentController::sync_annotations(State& state, const PassRef& pass, int64_t revision) {
  Set& fresh = *state.new_set();
  json::Value changed = fresh.value;
  bool differs = set_revision_annotations(changed, state.deployment, revision);
  const json::Value& spec = state.deployment["spec"];
  if (spec["minReadySeconds"].as_int() != changed["spec"]["minReadySeconds"].as_int()) {
    changed.member("spec").set("minReadySeconds", spec["minReadySeconds"].as_int());
    differs = true;
  }
  if (differs) {
    pass->write(update_request(kReplicaSets, changed));
    return true;
  }
  const json::Value& notes = fresh.value["metadata"]["annotations"];
  std::string told = notes[kRevision].text();
  if (state.deployment["metadata"]["annotations"][kRevision].as_string() != told) {
    json::Value patch = json::Value::object(
        {{"metadata",
          json::Value::object({{"annotations", json::Value::object({{kRevision, told}})}})}});
    // Through the status, where it raises no generation.
    pass->write(
        patch_request(kDeployments, pass->key(), patch, client::PatchType::kMerge, "status"));
    return true;
  }
  json::Value& status = state.deployment.member("status");
  if (has_progress_deadline(state.deployment) &&
      api::condition(status["conditions"], "Progressing").is_null()) {
    // Goes out with the status that this pass ends with.
    set_deployment_condition(status,
                             {"Progressing", "True", "FoundNewReplicaSet",
                              fmt::format("Found new replica set \"{}\"", fresh.object->name.name)},
                             now_us());
  }
  return false;
}

void DeploymentController::create_new_set(const StateRef& ref, const PassRef& pass,
                                          int64_t revision) {
  State& state = *ref;
  const json::Value& spec = state.deployment["spec"];
  json::Value pod_template = spec["template"];
  const json::Value& count = state.deployment["status"]["collisionCount"];
  int64_t collisions = count.as_int();
  std::string hash = safe_hash(pod_template, count.is_integer() ? &collisions : nullptr);
  pod_template.member("metadata").member("labels").set(kTemplateHash, hash);
  json::Value selector = spec["selector"];
  selector.member("matchLabels").set(kTemplateHash, hash);
  std::string name = pass->key().name + "-" + hash;
  int64_t size = new_set_size(state.spec, 0, state.total_size());

  json::Value set = json::Value::object(
      {{"apiVersion", "apps/v1"},
       {"kind", "ReplicaSet"},
       {"metadata",
        json::Value::object({{"name", name},
                             {"namespace", pass->key().ns},
                             {"labels", pod_template["metadata"]["labels"]},
                             {"ownerReferences",
                              json::Value::array({api::controller_reference(state.deployment)})}})},
       {"spec", json::Value::object({{"replicas", size}})}});
  json::Value& set_spec = set.member("spec");
  if (int64_t ready = spec["minReadySeconds"].as_int(); ready != 0) {
    set_spec.set("minReadySeconds", ready);
  }
  set_spec.set("selector", std::move(selector)).set("template", std::move(pod_template));
  set_revision_annotations(set, state.deployment, revision);
  set_replicas_annotations(set, state.spec);
  pass->write(create_request(kReplicaSets, pass->key().ns, std::move(set)),
              [this, ref, pass, name, size](Result<ObjectRef> answer) {
                json::Value& status = ref->deployment.member("status");
                if (answer.ok()) {
                  if (size > 0) {
                    event(ref->deployment, false, "ScalingReplicaSet",
                          fmt::format("Scaled up replica set {} from 0 to {}", name, size));
                  }
                  if (has_progress_deadline(ref->deployment)) {
                    set_deployment_condition(status,
                                             {"Progressing", "True", "NewReplicaSetCreated",
                                              fmt::format("Created new replica set \"{}\"", name)},
                                             now_us());
                  }
                  Set fresh;
                  fresh.object = *answer;
                  fresh.value = api::decode(**answer);
                  fresh.size.replicas = size;
                  fresh.size.created_at = api::creation_time(fresh.value);
                  ref->newest = static_cast<int>(ref->sets.size());
                  ref->sets.push_back(std::move(fresh));
                  return write_rollout_status(*ref, pass);
                }
                if (answer.error().code == Code::kAlreadyExists)
                  return on_name_taken(ref, pass, name);
                pass->fail(answer.error());
                if (is_namespace_terminating(answer.error())) return;
                std::string text = fmt::format("Failed to create new replica set \"{}\": {}", name,
                                               answer.error().message);
                event(ref->deployment, true, "FailedCreate", text);
                if (!has_progress_deadline(ref->deployment)) return;
                json::Value changed = ref->deployment;
                set_deployment_condition(changed.member("status"),
                                         {"Progressing", "False", "FailedCreate", text}, now_us());
                if (!(changed == ref->deployment)) {
                  pass->write(update_request(kDeployments, changed, "status"));
                }
              });
}

// A set of that name with another template, or another's: the hash collided.
void DeploymentController::on_name_taken(const StateRef& ref, const PassRef& pass,
                                         const std::string& name) {
  ObjectRef taken = context_.get(kReplicaSets, {pass->key().ns, name});
  if (taken != nullptr) {
    const OwnerRef* owner = taken->controller();
    json::Value value = api::decode(*taken);
    if (owner != nullptr && owner->uid == ref->deployment["metadata"]["uid"].as_string() &&
        same_template(ref->deployment["spec"]["template"], value["spec"]["template"])) {
      return;  // ours after all; its event brings the key back
    }
  }
  json::Value changed = ref->deployment;
  json::Value& status = changed.member("status");
  status.set("collisionCount", status["collisionCount"].as_int() + 1);
  pass->write(update_request(kDeployments, changed, "status"));
}

}  // namespace knarr::server
