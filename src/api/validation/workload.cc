// Deployments, replica sets, daemon sets, replication controllers, controller revisions.
#include "api/validation/workload.h"

#include <charconv>

#include "api/selector.h"
#include "api/validation/internal.h"
#include "base/format.h"

namespace knarr::api::rules {

void only_restart_always(const Value& pod_template, std::string_view kind, const Path& path,
                         ErrorList& errors) {
  const Value& policy = pod_template["spec"]["restartPolicy"];
  if (policy.as_string("Always") != "Always") {
    errors.not_supported(path / "spec" / "restartPolicy", policy, {"Always"});
  }
  if (!pod_template["spec"]["activeDeadlineSeconds"].is_null()) {
    errors.forbidden(path / "spec" / "activeDeadlineSeconds",
                     fmt::format("activeDeadlineSeconds in {} is not Supported", kind));
  }
}

bool workload_selector(const Value& selector, std::string_view kind, std::string_view broken,
                       const Path& path, ErrorList& errors) {
  if (selector.is_null()) {
    errors.required(path);
  } else {
    label_selector(selector, path, errors);
    if (selector_is_empty(selector)) {
      errors.invalid(path, selector, fmt::format("empty selector is invalid for {}", kind));
    }
  }
  if (LabelSelector::from_object(selector).ok()) return true;
  errors.invalid(path, selector, broken);
  return false;
}

void must_match_template(const Value& selector, const Value& pod_template, const Path& path,
                         ErrorList& errors) {
  if (!selector.is_null() && selector_is_empty(selector)) return;
  auto parsed = LabelSelector::from_object(selector);
  const Value& labels = pod_template["metadata"]["labels"];
  if (parsed.ok() && !parsed->matches(labels)) {
    errors.invalid(path / "metadata" / "labels", labels,
                   "`selector` does not match template `labels`");
  }
}

bool is_none(const Value& value) {
  if (!value.is_string()) return value.as_int() == 0;
  if (int64_t percent = percent_of(value); percent >= 0) return percent == 0;
  std::string_view text = value.as_string();
  int64_t number = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ptr != text.data() + text.size() || number == 0;
}

namespace {

void template_of(const Value& spec, std::string_view kind, const Path& path, ErrorList& errors) {
  must_match_template(spec["selector"], spec["template"], path, errors);
  pod_template(spec["template"], path, errors);
  only_restart_always(spec["template"], kind, path, errors);
}

void replica_set(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  not_negative(spec["replicas"], path / "replicas", errors);
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  if (workload_selector(spec["selector"], "deployment", "invalid label selector", path / "selector",
                        errors)) {
    template_of(spec, "ReplicaSet", path / "template", errors);
  }
}

void selector_stays(const Value& object, const Value& old, ErrorList& errors) {
  immutable(object["spec"]["selector"], old["spec"]["selector"], Path("spec") / "selector", errors);
}

void replica_set_update(const Value& object, const Value& old, ErrorList& errors) {
  replica_set(object, errors);
  selector_stays(object, old, errors);
}

void rolling_update(const Value& rolling, const Path& path, ErrorList& errors) {
  const Value& unavailable = rolling["maxUnavailable"];
  const Value& surge = rolling["maxSurge"];
  int_or_percent(unavailable, path / "maxUnavailable", errors);
  int_or_percent(surge, path / "maxSurge", errors);
  if (is_none(unavailable) && is_none(surge)) {
    errors.invalid(path / "maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0");
  }
  not_above_all(unavailable, path / "maxUnavailable", errors);
}

void deployment_strategy(const Value& strategy, const Path& path, ErrorList& errors) {
  std::string_view type = strategy["type"].as_string();
  const Value& rolling = strategy["rollingUpdate"];
  if (type == "Recreate") {
    if (!rolling.is_null()) {
      errors.forbidden(path / "rollingUpdate",
                       "may not be specified when strategy `type` is 'Recreate'");
    }
  } else if (type == "RollingUpdate") {
    if (rolling.is_null()) {
      errors.required(path / "rollingUpdate", "this should be defaulted and never be nil");
    } else {
      rolling_update(rolling, path / "rollingUpdate", errors);
    }
  } else {
    errors.not_supported(path, internal_value("apps", "v1", "DeploymentStrategy", strategy),
                         {"Recreate", "RollingUpdate"});
  }
}

void deployment(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  not_negative(spec["replicas"], path / "replicas", errors);
  if (workload_selector(spec["selector"], "deployment", "invalid label selector", path / "selector",
                        errors)) {
    template_of(spec, "ReplicaSet", path / "template", errors);
  }
  deployment_strategy(spec["strategy"], path / "strategy", errors);
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  not_negative(spec["revisionHistoryLimit"], path / "revisionHistoryLimit", errors);
  const Value& deadline = spec["progressDeadlineSeconds"];
  if (deadline.is_null()) return;
  not_negative(deadline, path / "progressDeadlineSeconds", errors);
  if (deadline.as_int() <= spec["minReadySeconds"].as_int()) {
    errors.invalid(path / "progressDeadlineSeconds", deadline,
                   "must be greater than minReadySeconds");
  }
}

void deployment_update(const Value& object, const Value& old, ErrorList& errors) {
  deployment(object, errors);
  selector_stays(object, old, errors);
}

void daemon_set_strategy(const Value& strategy, const Path& path, ErrorList& errors) {
  std::string_view type = strategy["type"].as_string();
  if (type == "OnDelete") return;
  if (type != "RollingUpdate") {
    errors.not_supported(path, internal_value("apps", "v1", "DaemonSetUpdateStrategy", strategy),
                         {"RollingUpdate", "OnDelete"});
    return;
  }
  const Value& rolling = strategy["rollingUpdate"];
  Path at = path / "rollingUpdate";
  if (rolling.is_null()) return errors.required(at);
  const Value& unavailable = rolling["maxUnavailable"];
  const Value& surge = rolling["maxSurge"];
  int_or_percent(unavailable, at / "maxUnavailable", errors);
  int_or_percent(surge, at / "maxSurge", errors);
  not_above_all(unavailable, at / "maxUnavailable", errors);
  not_above_all(surge, at / "maxSurge", errors);
  if (!is_none(unavailable) && !is_none(surge)) {
    errors.invalid(at / "maxSurge", surge, "may not be set when maxUnavailable is non-zero");
  } else if (is_none(unavailable) && is_none(surge)) {
    errors.required(at / "maxUnavailable", "cannot be 0 when maxSurge is 0");
  }
}

void daemon_set(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  const Value& selector = spec["selector"];
  label_selector(selector, path / "selector", errors);
  auto parsed = LabelSelector::from_object(selector);
  Path at = path / "template";
  const Value& labels = spec["template"]["metadata"]["labels"];
  if (parsed.ok() && !parsed->matches(labels)) {
    errors.invalid(at / "metadata" / "labels", labels,
                   "`selector` does not match template `labels`");
  }
  if (!selector.is_null() && selector_is_empty(selector)) {
    errors.invalid(path / "selector", selector, "empty selector is invalid for daemonset");
  }
  pod_template(spec["template"], at, errors);
  only_restart_always(spec["template"], "DaemonSet", at, errors);
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  daemon_set_strategy(spec["updateStrategy"], path / "updateStrategy", errors);
  not_negative(spec["revisionHistoryLimit"], path / "revisionHistoryLimit", errors);
}

void daemon_set_update(const Value& object, const Value& old, ErrorList& errors) {
  selector_stays(object, old, errors);
  daemon_set(object, errors);
}

void replication_controller(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  if (spec["selector"].empty()) errors.required(path / "selector");
  not_negative(spec["replicas"], path / "replicas", errors);
  Path at = path / "template";
  if (spec["template"].is_null()) return errors.required(at);
  const Value& labels = spec["template"]["metadata"]["labels"];
  if (!spec["selector"].empty() && !LabelSelector::from_map(spec["selector"]).matches(labels)) {
    errors.invalid(at / "metadata" / "labels", labels,
                   "`selector` does not match template `labels`");
  }
  pod_template(spec["template"], at, errors);
  only_restart_always(spec["template"], "ReplicationController", at, errors);
}

void controller_revision(const Value& object, ErrorList& errors) {
  not_negative(object["revision"], Path("revision"), errors);
  const Value& data = object["data"];
  if (data.is_null()) {
    errors.required(Path("data"), "data is mandatory");
  } else if (!data.is_object()) {
    errors.required(Path("data"), "data must be a valid JSON object");
  }
}

void controller_revision_update(const Value& object, const Value& old, ErrorList& errors) {
  metadata_again(object, true, errors);
  not_negative(object["revision"], Path("revision"), errors);
  immutable(object["data"], old["data"], Path("data"), errors);
}

constexpr KindRules kRules[] = {
    {"apps", "Deployment", name_is_dns_subdomain, deployment, deployment_update, deployment_status},
    {"apps", "ReplicaSet", name_is_dns_subdomain, replica_set, replica_set_update, replica_status},
    {"apps", "DaemonSet", name_is_dns_subdomain, daemon_set, daemon_set_update, daemon_set_status},
    {"apps", "StatefulSet", name_is_dns_label, stateful_set, stateful_set_update,
     stateful_set_status, nullptr, kStatusMetaLast},
    {"apps", "ControllerRevision", name_is_dns_subdomain, controller_revision,
     controller_revision_update, nullptr},
    {"", "ReplicationController", name_is_dns_subdomain, replication_controller, nullptr,
     replica_status, nullptr, kNoGenerateName},
    {"batch", "Job", name_is_dns_subdomain, job, job_update, job_status, nullptr, kCreateFirst},
    {"batch", "CronJob", name_is_dns_subdomain, cron_job, cron_job_update, nullptr},
};

}  // namespace

std::span<const KindRules> workload_rules() { return kRules; }

}  // namespace knarr::api::rules
