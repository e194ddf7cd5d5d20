// Defaults of apps, batch and autoscaling.
#include "api/schema/default_hooks.h"

namespace knarr::api {

void default_apps_v1_DeploymentStrategy(json::Value& strategy) {
  if (!is_text(strategy, "type", "RollingUpdate")) return;
  json::Value& rolling = strategy.member("rollingUpdate");
  fill(rolling, "maxUnavailable", "25%");
  fill(rolling, "maxSurge", "25%");
}

void default_apps_v1_DaemonSetUpdateStrategy(json::Value& strategy) {
  if (!is_text(strategy, "type", "RollingUpdate")) return;
  json::Value& rolling = strategy.member("rollingUpdate");
  fill(rolling, "maxUnavailable", 1);
  fill(rolling, "maxSurge", 0);
}

void default_apps_v1_StatefulSetUpdateStrategy(json::Value& strategy) {
  if (blank(strategy, "type")) {
    strategy.set("type", "RollingUpdate");
    fill(strategy, "rollingUpdate", json::Value::object());
  }
  json::Value* rolling = strategy.find("rollingUpdate");
  if (is_text(strategy, "type", "RollingUpdate") && rolling != nullptr && rolling->is_object()) {
    fill(*rolling, "partition", 0);
  }
}

void default_batch_v1_Job(json::Value& job) {
  json::Value& spec = job.member("spec");
  if (unset(spec, "completions") && unset(spec, "parallelism")) spec.set("completions", 1);
  fill(spec, "parallelism", 1);
  fill(spec, "backoffLimit", unset(spec, "backoffLimitPerIndex") ? 6 : 2147483647);
  const json::Value labels = spec["template"]["metadata"]["labels"];
  fill(spec, "completionMode", "NonIndexed");
  fill(spec, "suspend", false);
  fill(spec, "podReplacementPolicy",
       unset(spec, "podFailurePolicy") ? "TerminatingOrFailed" : "Failed");
  fill(spec, "manualSelector", false);
  if (labels.empty()) return;
  json::Value& metadata = job.member("metadata");
  if (metadata["labels"].empty()) metadata.set("labels", labels);
}

void default_autoscaling_v1_HorizontalPodAutoscaler(json::Value& hpa) {
  // Other metrics of v2 travel in this annotation.
  if (hpa["metadata"]["annotations"].has("autoscaling.alpha.kubernetes.io/metrics")) return;
  fill(hpa.member("spec"), "targetCPUUtilizationPercentage", 80);
}

namespace {

json::Value policy(const char* type, int value) {
  return json::Value::object({{"type", type}, {"value", value}, {"periodSeconds", 15}});
}

}  // namespace

void default_autoscaling_v2_HorizontalPodAutoscaler(json::Value& hpa) {
  json::Value& spec = hpa.member("spec");
  json::Value* behavior = spec.find("behavior");
  if (behavior == nullptr || !behavior->is_object()) return;
  json::Value& up = behavior->member("scaleUp");
  fill(up, "stabilizationWindowSeconds", 0);
  fill(up, "selectPolicy", "Max");
  if (up["policies"].empty()) {
    up.set("policies", json::Value::array({policy("Pods", 4), policy("Percent", 100)}));
  }
  json::Value& down = behavior->member("scaleDown");
  fill(down, "selectPolicy", "Max");
  if (down["policies"].empty()) {
    down.set("policies", json::Value::array({policy("Percent", 100)}));
  }
}

}  // namespace knarr::api
