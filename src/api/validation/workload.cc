// apps, batch and the replication controller.
#include "api/validation/workload.h"

#include "api/cron.h"
#include "api/selector.h"
#include "api/validation/rules.h"

namespace knarr::api::rules {
namespace {

void only_restart_always(const Value& pod_template, const Path& path, ErrorList& errors) {
  const Value& policy = pod_template["spec"]["restartPolicy"];
  if (policy.as_string("Always") != "Always") {
    errors.not_supported(path / "spec" / "restartPolicy", policy, {"Always"});
  }
  if (!pod_template["spec"]["activeDeadlineSeconds"].is_null()) {
    errors.forbidden(path / "spec" / "activeDeadlineSeconds",
                     "activeDeadlineSeconds in workloads is not supported");
  }
}

void must_match_template(const Value& selector, const Value& pod_template, const Path& path,
                         ErrorList& errors) {
  auto parsed = LabelSelector::from_object(selector);
  const Value& labels = pod_template["metadata"]["labels"];
  if (parsed.ok() && !parsed->matches(labels)) {
    errors.invalid(path / "metadata" / "labels", labels,
                   "`selector` does not match template `labels`");
  }
}

void replica_set_spec(const Value& spec, const Path& path, ErrorList& errors) {
  not_negative(spec["replicas"], path / "replicas", errors);
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  const Value& selector = spec["selector"];
  if (selector.is_null()) {
    errors.required(path / "selector");
  } else {
    label_selector(selector, path / "selector", errors);
    if (selector_is_empty(selector)) {
      errors.invalid(path / "selector", selector, "empty selector is invalid for deployment");
    }
  }
  if (!LabelSelector::from_object(selector).ok()) {
    errors.invalid(path / "selector", selector, "invalid label selector");
    return;
  }
  Path at = path / "template";
  if (selector.is_null() || !selector_is_empty(selector)) {
    must_match_template(selector, spec["template"], at, errors);
  }
  pod_template(spec["template"], at, errors);
  only_restart_always(spec["template"], at, errors);
}

void replica_set(const Value& object, ErrorList& errors) {
  replica_set_spec(object["spec"], Path("spec"), errors);
}

void replica_set_update(const Value& object, const Value& old, ErrorList& errors) {
  replica_set(object, errors);
  immutable(object["spec"]["selector"], old["spec"]["selector"], Path("spec") / "selector", errors);
}

// "a percentage, at most 100".
void not_above_all(const Value& value, const Path& path, ErrorList& errors) {
  if (percent_of(value) > 100) errors.invalid(path, value, "must not be greater than 100%");
}

bool is_zero(const Value& value) {
  return value.is_string() ? percent_of(value) == 0 : value.as_int() == 0;
}

void rolling_update(const Value& rolling, const Path& path, ErrorList& errors) {
  const Value& unavailable = rolling["maxUnavailable"];
  const Value& surge = rolling["maxSurge"];
  int_or_percent(unavailable, path / "maxUnavailable", errors);
  int_or_percent(surge, path / "maxSurge", errors);
  if (is_zero(unavailable) && is_zero(surge)) {
    errors.invalid(path / "maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0");
  }
  not_above_all(unavailable, path / "maxUnavailable", errors);
}

void deployment(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  not_negative(spec["replicas"], path / "replicas", errors);
  const Value& selector = spec["selector"];
  if (selector.is_null()) {
    errors.required(path / "selector");
  } else {
    label_selector(selector, path / "selector", errors);
    if (selector_is_empty(selector)) {
      errors.invalid(path / "selector", selector, "empty selector is invalid for deployment");
    }
  }
  Path at = path / "template";
  if (!LabelSelector::from_object(selector).ok()) {
    errors.invalid(path / "selector", selector, "invalid label selector");
  } else {
    if (selector.is_null() || !selector_is_empty(selector)) {
      must_match_template(selector, spec["template"], at, errors);
    }
    pod_template(spec["template"], at, errors);
    only_restart_always(spec["template"], at, errors);
  }
  const Value& strategy = spec["strategy"];
  std::string_view type = strategy["type"].as_string();
  if (type == "Recreate") {
    if (!strategy["rollingUpdate"].is_null()) {
      errors.forbidden(path / "strategy" / "rollingUpdate",
                       "may not be specified when strategy `type` is 'Recreate'");
    }
  } else if (type == "RollingUpdate") {
    if (strategy["rollingUpdate"].is_null()) {
      errors.required(path / "strategy" / "rollingUpdate");
    } else {
      rolling_update(strategy["rollingUpdate"], path / "strategy" / "rollingUpdate", errors);
    }
  } else if (!strategy.is_null()) {
    errors.not_supported(path / "strategy", strategy["type"].as_string(),
                         {"Recreate", "RollingUpdate"});
  }
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  not_negative(spec["revisionHistoryLimit"], path / "revisionHistoryLimit", errors);
  const Value& deadline = spec["progressDeadlineSeconds"];
  if (!deadline.is_null()) {
    not_negative(deadline, path / "progressDeadlineSeconds", errors);
    if (deadline.as_int() <= spec["minReadySeconds"].as_int()) {
      errors.invalid(path / "progressDeadlineSeconds", deadline,
                     "must be greater than minReadySeconds");
    }
  }
}

void deployment_update(const Value& object, const Value& old, ErrorList& errors) {
  deployment(object, errors);
  immutable(object["spec"]["selector"], old["spec"]["selector"], Path("spec") / "selector", errors);
}

void daemon_set(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  const Value& selector = spec["selector"];
  label_selector(selector, path / "selector", errors);
  auto parsed = LabelSelector::from_object(selector);
  Path at = path / "template";
  if (parsed.ok() && !parsed->matches(spec["template"]["metadata"]["labels"])) {
    errors.invalid(at / "metadata" / "labels", spec["template"]["metadata"]["labels"],
                   "`selector` does not match template `labels`");
  }
  if (selector_is_empty(selector)) {
    errors.invalid(path / "selector", selector, "empty selector is invalid for daemonset");
  }
  pod_template(spec["template"], at, errors);
  only_restart_always(spec["template"], at, errors);
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  const Value& strategy = spec["updateStrategy"];
  std::string_view type = strategy["type"].as_string();
  Path rolling = path / "updateStrategy" / "rollingUpdate";
  if (type == "RollingUpdate") {
    if (strategy["rollingUpdate"].is_null()) {
      errors.required(rolling);
    } else {
      const Value& unavailable = strategy["rollingUpdate"]["maxUnavailable"];
      const Value& surge = strategy["rollingUpdate"]["maxSurge"];
      int_or_percent(unavailable, rolling / "maxUnavailable", errors);
      int_or_percent(surge, rolling / "maxSurge", errors);
      not_above_all(unavailable, rolling / "maxUnavailable", errors);
      not_above_all(surge, rolling / "maxSurge", errors);
      if (!is_zero(unavailable) && !is_zero(surge)) {
        errors.invalid(rolling / "maxSurge", surge,
                       "may not be set when maxUnavailable is non-zero");
      } else if (is_zero(unavailable) && is_zero(surge)) {
        errors.required(rolling / "maxUnavailable", "cannot be 0 when maxSurge is 0");
      }
    }
  } else if (type != "OnDelete" && !type.empty()) {
    errors.not_supported(path / "updateStrategy" / "type", type, {"RollingUpdate", "OnDelete"});
  }
  not_negative(spec["revisionHistoryLimit"], path / "revisionHistoryLimit", errors);
}

void daemon_set_update(const Value& object, const Value& old, ErrorList& errors) {
  daemon_set(object, errors);
  immutable(object["spec"]["selector"], old["spec"]["selector"], Path("spec") / "selector", errors);
}

void stateful_set(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  one_of(spec["podManagementPolicy"], {"OrderedReady", "Parallel"}, path / "podManagementPolicy",
         errors);
  std::string_view type = spec["updateStrategy"]["type"].as_string();
  const Value& rolling = spec["updateStrategy"]["rollingUpdate"];
  Path strategy = path / "updateStrategy";
  if (type == "OnDelete") {
    if (!rolling.is_null()) {
      errors.invalid(strategy / "rollingUpdate", rolling,
                     "only allowed for updateStrategy 'RollingUpdate'");
    }
  } else if (type == "RollingUpdate") {
    not_negative(rolling["partition"], strategy / "rollingUpdate" / "partition", errors);
  } else if (type.empty()) {
    errors.required(strategy);
  } else {
    errors.invalid(strategy, spec["updateStrategy"], "must be 'RollingUpdate' or 'OnDelete'");
  }
  const Value& retention = spec["persistentVolumeClaimRetentionPolicy"];
  for (const char* member : {"whenDeleted", "whenScaled"}) {
    maybe_one_of(retention[member], {"Retain", "Delete"},
                 path / "persistentVolumeClaimRetentionPolicy" / member, errors);
  }
  not_negative(spec["replicas"], path / "replicas", errors);
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  not_negative(spec["ordinals"]["start"], path / "ordinals" / "start", errors);
  const Value& selector = spec["selector"];
  Path at = path / "template";
  if (selector.is_null()) {
    errors.required(path / "selector");
  } else {
    label_selector(selector, path / "selector", errors);
    if (selector_is_empty(selector)) {
      errors.invalid(path / "selector", selector, "empty selector is invalid for statefulset");
    }
  }
  if (!LabelSelector::from_object(selector).ok()) {
    errors.invalid(path / "selector", selector, "");
  } else {
    if (selector.is_null() || !selector_is_empty(selector)) {
      must_match_template(selector, spec["template"], at, errors);
    }
    pod_template(spec["template"], at, errors);
  }
  only_restart_always(spec["template"], at, errors);
}

void stateful_set_update(const Value& object, const Value& old, ErrorList& errors) {
  stateful_set(object, errors);
  Value now = object["spec"];
  for (const char* member :
       {"replicas", "template", "updateStrategy", "minReadySeconds", "ordinals",
        "persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit"}) {
    if (old["spec"].has(member)) {
      now.set(member, old["spec"][member]);
    } else {
      now.erase(member);
    }
  }
  if (!(now == old["spec"])) {
    errors.forbidden(Path("spec"),
                     "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                     "'template', 'updateStrategy', 'revisionHistoryLimit', "
                     "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
  }
}

void replication_controller(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  if (spec["selector"].empty()) errors.required(path / "selector");
  not_negative(spec["replicas"], path / "replicas", errors);
  Path at = path / "template";
  if (spec["template"].is_null()) return errors.required(at);
  if (!spec["selector"].empty()) {
    const Value& labels = spec["template"]["metadata"]["labels"];
    if (!LabelSelector::from_map(spec["selector"]).matches(labels)) {
      errors.invalid(at / "metadata" / "labels", labels,
                     "`selector` does not match template `labels`");
    }
  }
  pod_template(spec["template"], at, errors);
  only_restart_always(spec["template"], at, errors);
}

void controller_revision(const Value& object, ErrorList& errors) {
  if (object["data"].is_null()) errors.required(Path("data"), "data is mandatory");
  if (object["revision"].as_int() < 0) {
    errors.invalid(Path("revision"), object["revision"], kNotNegative);
  }
}

void controller_revision_update(const Value& object, const Value& old, ErrorList& errors) {
  controller_revision(object, errors);
  immutable(object["data"], old["data"], Path("data"), errors);
}

void counters(const Value& object, std::initializer_list<const char*> members, ErrorList& errors) {
  for (const char* member : members) {
    not_negative(object["status"][member], Path("status") / member, errors);
  }
}

void replica_status(const Value& object, const Value&, ErrorList& errors) {
  counters(object,
           {"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
            "observedGeneration"},
           errors);
  const Value& status = object["status"];
  int64_t replicas = status["replicas"].as_int();
  for (const char* member : {"fullyLabeledReplicas", "readyReplicas", "availableReplicas"}) {
    if (status[member].as_int() > replicas) {
      errors.invalid(Path("status") / member, status[member],
                     "cannot be greater than status.replicas");
    }
  }
  if (status["availableReplicas"].as_int() > status["readyReplicas"].as_int()) {
    errors.invalid(Path("status") / "availableReplicas", status["availableReplicas"],
                   "cannot be greater than readyReplicas");
  }
}

void deployment_status(const Value& object, const Value& old, ErrorList& errors) {
  const Value& status = object["status"];
  Path path("status");
  counters(object,
           {"observedGeneration", "replicas", "updatedReplicas", "readyReplicas",
            "availableReplicas", "unavailableReplicas", "collisionCount"},
           errors);
  int64_t replicas = status["replicas"].as_int();
  for (const char* member : {"updatedReplicas", "readyReplicas", "availableReplicas"}) {
    if (status[member].as_int() > replicas) {
      errors.invalid(path / member, status[member], "cannot be greater than status.replicas");
    }
  }
  if (status["availableReplicas"].as_int() > status["readyReplicas"].as_int()) {
    errors.invalid(path / "availableReplicas", status["availableReplicas"],
                   "cannot be greater than readyReplicas");
  }
  if (status["collisionCount"].as_int() < old["status"]["collisionCount"].as_int()) {
    errors.invalid(path / "collisionCount", status["collisionCount"], "cannot be decremented");
  }
}

constexpr KindRules kRules[] = {
    {"apps", "Deployment", name_is_dns_subdomain, deployment, deployment_update, deployment_status},
    {"apps", "ReplicaSet", name_is_dns_subdomain, replica_set, replica_set_update, replica_status},
    {"apps", "DaemonSet", name_is_dns_subdomain, daemon_set, daemon_set_update, nullptr},
    {"apps", "StatefulSet", name_is_dns_label, stateful_set, stateful_set_update, nullptr},
    {"apps", "ControllerRevision", name_is_dns_subdomain, controller_revision,
     controller_revision_update, nullptr},
    {"", "ReplicationController", name_is_dns_subdomain, replication_controller, nullptr,
     replica_status},
    {"batch", "Job", name_is_dns_subdomain, job, job_update, job_status},
    {"batch", "CronJob", name_is_dns_subdomain, cron_job, nullptr, nullptr},
};

}  // namespace

std::span<const KindRules> workload_rules() { return kRules; }

}  // namespace knarr::api::rules
