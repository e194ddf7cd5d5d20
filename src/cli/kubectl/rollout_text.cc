#include "cli/kubectl/rollout_text.h"

#include <charconv>

#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/tab_writer.h"

namespace knarr::kubectl {

namespace {

constexpr char kRevision[] = "deployment.kubernetes.io/revision";

bool is_observed(const json::Value& object) {
  return object["metadata"]["generation"].as_int() <=
         object["status"]["observedGeneration"].as_int();
}

Result<RolloutState> deployment_state(const json::Value& object, int64_t revision) {
  const json::Value& status = object["status"];
  std::string name = object["metadata"]["name"].text();
  if (revision > 0) {
    std::string text = object["metadata"]["annotations"][kRevision].text();
    int64_t current = 0;
    std::from_chars(text.data(), text.data() + text.size(), current);
    if (current != revision) {
      return bad(fmt::format("desired revision ({}) is different from the running revision ({})",
                             revision, current));
    }
  }
  if (!is_observed(object)) {
    return RolloutState{"Waiting for deployment spec update to be observed...\n", false};
  }
  for (const json::Value& condition : status["conditions"].elements()) {
    if (condition["type"].as_string() == "Progressing" &&
        condition["reason"].as_string() == "ProgressDeadlineExceeded") {
      return bad(fmt::format("deployment \"{}\" exceeded its progress deadline", name));
    }
  }
  int64_t wanted = object["spec"]["replicas"].as_int(1);
  int64_t updated = status["updatedReplicas"].as_int();
  int64_t replicas = status["replicas"].as_int();
  int64_t available = status["availableReplicas"].as_int();
  std::string waiting = fmt::format("Waiting for deployment \"{}\" rollout to finish: ", name);
  if (updated < wanted) {
    return RolloutState{fmt::format("{}{} out of {} new replicas have been updated...\n", waiting,
                                    updated, wanted)};
  }
  if (replicas > updated) {
    return RolloutState{
        fmt::format("{}{} old replicas are pending termination...\n", waiting, replicas - updated)};
  }
  if (available < updated) {
    return RolloutState{
        fmt::format("{}{} of {} updated replicas are available...\n", waiting, available, updated)};
  }
  return RolloutState{fmt::format("deployment \"{}\" successfully rolled out\n", name), true};
}

Result<RolloutState> daemon_set_state(const json::Value& object) {
  const json::Value& status = object["status"];
  std::string name = object["metadata"]["name"].text();
  if (object["spec"]["updateStrategy"]["type"].as_string() != "RollingUpdate") {
    return bad("rollout status is only available for RollingUpdate strategy type");
  }
  if (!is_observed(object)) {
    return RolloutState{"Waiting for daemon set spec update to be observed...\n"};
  }
  int64_t updated = status["updatedNumberScheduled"].as_int();
  int64_t desired = status["desiredNumberScheduled"].as_int();
  int64_t available = status["numberAvailable"].as_int();
  std::string waiting = fmt::format("Waiting for daemon set \"{}\" rollout to finish: ", name);
  if (updated < desired) {
    return RolloutState{
        fmt::format("{}{} out of {} new pods have been updated...\n", waiting, updated, desired)};
  }
  if (available < desired) {
    return RolloutState{
        fmt::format("{}{} of {} updated pods are available...\n", waiting, available, desired)};
  }
  return RolloutState{fmt::format("daemon set \"{}\" successfully rolled out\n", name), true};
}

Result<RolloutState> stateful_set_state(const json::Value& object) {
  const json::Value& spec = object["spec"];
  const json::Value& status = object["status"];
  if (spec["updateStrategy"]["type"].as_string() != "RollingUpdate") {
    return bad("rollout status is only available for RollingUpdate strategy type");
  }
  if (status["observedGeneration"].as_int() == 0 || !is_observed(object)) {
    return RolloutState{"Waiting for statefulset spec update to be observed...\n"};
  }
  int64_t replicas = spec["replicas"].as_int(1);
  int64_t ready = status["readyReplicas"].as_int();
  if (ready < replicas) {
    return RolloutState{fmt::format("Waiting for {} pods to be ready...\n", replicas - ready)};
  }
  int64_t updated = status["updatedReplicas"].as_int();
  int64_t partition = spec["updateStrategy"]["rollingUpdate"]["partition"].as_int();
  if (partition > 0) {
    if (updated < replicas - partition) {
      return RolloutState{
          fmt::format("Waiting for partitioned roll out to finish: {} out of {} new "
                      "pods have been updated...\n",
                      updated, replicas - partition)};
    }
    return RolloutState{
        fmt::format("partitioned roll out complete: {} new pods have been updated...\n", updated),
        true};
  }
  if (!(status["updateRevision"] == status["currentRevision"])) {
    return RolloutState{
        fmt::format("waiting for statefulset rolling update to complete {} pods at "
                    "revision {}...\n",
                    updated, status["updateRevision"].as_string())};
  }
  return RolloutState{
      fmt::format("statefulset rolling update complete {} pods at revision {}...\n",
                  status["currentReplicas"].as_int(), status["currentRevision"].as_string()),
      true};
}

}  // namespace

Result<RolloutState> rollout_state(const json::Value& object, int64_t revision) {
  std::string kind = object["kind"].text();
  if (kind == "Deployment") return deployment_state(object, revision);
  if (kind == "DaemonSet") return daemon_set_state(object);
  if (kind == "StatefulSet") return stateful_set_state(object);
  return bad(fmt::format("no status viewer has been implemented for {}", kind));
}

std::string history_text(const std::vector<RolloutRevision>& revisions) {
  std::string text = "REVISION\tCHANGE-CAUSE\n";
  for (const RolloutRevision& revision : revisions) {
    text += fmt::format("{}\t{}\n", revision.number,
                        revision.cause.empty() ? "<none>" : revision.cause);
  }
  return set_in_columns(text);
}

}  // namespace knarr::kubectl
