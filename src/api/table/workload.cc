// apps, batch, autoscaling, and the replication controller before them.
#include "api/duration.h"
#include "api/quantity.h"
#include "api/table/columns.h"
#include "base/format.h"
#include "base/time.h"

namespace knarr::api::table {
namespace {

const json::Value& template_spec(const json::Value& object) {
  return object["spec"]["template"]["spec"];
}
json::Value names(const json::Value& object, int64_t) {
  return container_names(template_spec(object));
}
json::Value images(const json::Value& object, int64_t) {
  return container_images(template_spec(object));
}
json::Value selector(const json::Value& object, int64_t) {
  return selector_text(object["spec"]["selector"], "<none>", "<error>");
}
json::Value deployment_selector(const json::Value& object, int64_t) {
  return selector_text(object["spec"]["selector"], "", "<invalid>");
}
json::Value map_selector(const json::Value& object, int64_t) {
  return label_list(object["spec"]["selector"]);
}
json::Value ready_of_desired(const json::Value& object, int64_t) {
  return fmt::format("{}/{}", object["status"]["readyReplicas"].as_int(),
                     object["spec"]["replicas"].as_int());
}
json::Value node_selector(const json::Value& object, int64_t) {
  return label_list(template_spec(object)["nodeSelector"]);
}

json::Value controller(const json::Value& object, int64_t) {
  for (const json::Value& owner : object["metadata"]["ownerReferences"].elements()) {
    if (!owner["controller"].as_bool()) continue;
    std::string_view version = owner["apiVersion"].as_string();
    size_t slash = version.find('/');
    std::string kind = lower(owner["kind"].as_string());
    if (slash != std::string_view::npos) kind.append(".").append(version.substr(0, slash));
    return kind + "/" + owner["name"].text();
  }
  return "<none>";
}

json::Value job_status(const json::Value& job, int64_t) {
  const json::Value& conditions = job["status"]["conditions"];
  auto is = [&](const char* type) { return condition_status(conditions, type) == "True"; };
  if (is("Complete")) return "Complete";
  if (is("Failed")) return "Failed";
  if (!job["metadata"]["deletionTimestamp"].is_null()) return "Terminating";
  for (const char* type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (is(type)) return type;
  }
  return "Running";
}

json::Value completions(const json::Value& job, int64_t) {
  int64_t succeeded = job["status"]["succeeded"].as_int();
  const json::Value& wanted = job["spec"]["completions"];
  if (!wanted.is_null()) return fmt::format("{}/{}", succeeded, wanted.as_int());
  int64_t parallelism = job["spec"]["parallelism"].as_int();
  if (parallelism > 1) return fmt::format("{}/1 of {}", succeeded, parallelism);
  return fmt::format("{}/1", succeeded);
}

json::Value job_duration(const json::Value& job, int64_t now_us) {
  auto start = base::parse_time(job["status"]["startTime"].as_string());
  if (!start.ok()) return "";
  auto end = base::parse_time(job["status"]["completionTime"].as_string());
  return human_duration((end.ok() ? *end : now_us) - *start);
}

json::Value suspend(const json::Value& cron, int64_t) {
  const json::Value& value = cron["spec"]["suspend"];
  if (value.is_null()) return "<unset>";
  return value.as_bool() ? "True" : "False";
}

json::Value active(const json::Value& cron, int64_t) {
  return static_cast<int64_t>(cron["status"]["active"].size());
}

json::Value last_schedule(const json::Value& cron, int64_t now_us) {
  std::string_view at = cron["status"]["lastScheduleTime"].as_string();
  return at.empty() ? "<none>" : age(at, now_us);
}

const json::Value& cron_pod_spec(const json::Value& cron) {
  return template_spec(cron["spec"]["jobTemplate"]);
}
json::Value cron_names(const json::Value& cron, int64_t) {
  return container_names(cron_pod_spec(cron));
}
json::Value cron_images(const json::Value& cron, int64_t) {
  return container_images(cron_pod_spec(cron));
}
json::Value cron_selector(const json::Value& cron, int64_t) {
  return selector_text(cron["spec"]["jobTemplate"]["spec"]["selector"], "<none>", "<error>");
}

json::Value reference(const json::Value& hpa, int64_t) {
  const json::Value& ref = hpa["spec"]["scaleTargetRef"];
  return fmt::format("{}/{}", ref["kind"].as_string(), ref["name"].as_string());
}

std::string text_or(const json::Value& value, const char* missing) {
  return value.is_null() ? missing : value.text();
}

// One metric of an autoscaler: "<current>/<target>".
std::string target(const json::Value& metric, const json::Value& current) {
  std::string_view type = metric["type"].as_string();
  const char* member = type == "External"            ? "external"
                       : type == "Object"            ? "object"
                       : type == "Pods"              ? "pods"
                       : type == "Resource"          ? "resource"
                       : type == "ContainerResource" ? "containerResource"
                                                     : nullptr;
  if (member == nullptr) return "<unknown type>";
  const json::Value& goal = metric[member]["target"];
  const json::Value& now = current[member]["current"];
  std::string average = text_or(now["averageValue"], "<unknown>");
  if (type == "Pods") return fmt::format("{}/{}", average, goal["averageValue"].as_string());
  if (type == "External" || type == "Object") {
    if (!goal["averageValue"].is_null()) {
      return fmt::format("{}/{} (avg)", average, goal["averageValue"].as_string());
    }
    return fmt::format("{}/{}", text_or(now["value"], "<unknown>"), goal["value"].as_string());
  }
  std::string_view name = metric[member]["name"].as_string();
  if (!goal["averageValue"].is_null()) {
    return fmt::format("{}: {}/{}", name, average, goal["averageValue"].as_string());
  }
  const json::Value& used = now["averageUtilization"];
  const json::Value& wanted = goal["averageUtilization"];
  return fmt::format("{}: {}/{}", name,
                     used.is_null() ? "<unknown>" : fmt::format("{}%", used.as_int()),
                     wanted.is_null() ? "<auto>" : fmt::format("{}%", wanted.as_int()));
}

json::Value targets(const json::Value& hpa, int64_t) {
  // autoscaling/v1 knows one metric, and has it outside the list.
  const json::Value& percent = hpa["spec"]["targetCPUUtilizationPercentage"];
  if (!percent.is_null()) {
    const json::Value& used = hpa["status"]["currentCPUUtilizationPercentage"];
    return fmt::format("cpu: {}/{}%",
                       used.is_null() ? "<unknown>" : fmt::format("{}%", used.as_int()),
                       percent.as_int());
  }
  const json::Value& metrics = hpa["spec"]["metrics"];
  if (metrics.empty()) return "<none>";
  std::vector<std::string> items;
  for (size_t i = 0; i < metrics.size() && i < 2; i++) {
    items.push_back(target(metrics[i], hpa["status"]["currentMetrics"][i]));
  }
  std::string out = joined(items, ", ");
  if (metrics.size() > 2) out += fmt::format(" + {} more...", metrics.size() - 2);
  return out;
}

json::Value min_pods(const json::Value& hpa, int64_t) {
  const json::Value& value = hpa["spec"]["minReplicas"];
  return value.is_null() ? "<unset>" : std::to_string(value.as_int());
}

constexpr Column kNames = cell("Containers", names, "string", 1);
constexpr Column kImages = cell("Images", images, "string", 1);
constexpr Column kSelector = cell("Selector", selector, "string", 1);

constexpr Column kControllerRevisions[] = {name_column(), cell("Controller", controller),
                                           number("Revision", "revision", "string"), age_column()};
constexpr Column kDaemonSets[] = {
    name_column(),
    number("Desired", "status.desiredNumberScheduled"),
    number("Current", "status.currentNumberScheduled"),
    number("Ready", "status.numberReady"),
    number("Up-to-date", "status.updatedNumberScheduled"),
    number("Available", "status.numberAvailable"),
    cell("Node Selector", node_selector),
    age_column(),
    kNames,
    kImages,
    kSelector,
};
constexpr Column kDeployments[] = {
    name_column(),
    cell("Ready", ready_of_desired),
    number("Up-to-date", "status.updatedReplicas", "string"),
    number("Available", "status.availableReplicas", "string"),
    age_column(),
    kNames,
    kImages,
    cell("Selector", deployment_selector, "string", 1),
};
constexpr Column kReplicaSets[] = {
    name_column(),
    number("Desired", "spec.replicas"),
    number("Current", "status.replicas"),
    number("Ready", "status.readyReplicas"),
    age_column(),
    kNames,
    kImages,
    kSelector,
};
constexpr Column kReplicationControllers[] = {
    name_column(),
    number("Desired", "spec.replicas"),
    number("Current", "status.replicas"),
    number("Ready", "status.readyReplicas"),
    age_column(),
    kNames,
    kImages,
    cell("Selector", map_selector, "string", 1),
};
constexpr Column kStatefulSets[] = {name_column(), cell("Ready", ready_of_desired), age_column(),
                                    kNames, kImages};
constexpr Column kJobs[] = {
    name_column(),
    cell("Status", job_status),
    cell("Completions", completions),
    cell("Duration", job_duration),
    age_column(),
    kNames,
    kImages,
    kSelector,
};
constexpr Column kCronJobs[] = {
    name_column(),
    text("Schedule", "spec.schedule"),
    text("Timezone", "spec.timeZone", "<none>"),
    cell("Suspend", suspend, "boolean"),
    cell("Active", active, "integer"),
    cell("Last Schedule", last_schedule),
    age_column(),
    cell("Containers", cron_names, "string", 1),
    cell("Images", cron_images, "string", 1),
    cell("Selector", cron_selector, "string", 1),
};
constexpr Column kAutoscalers[] = {
    name_column(),
    cell("Reference", reference),
    cell("Targets", targets),
    cell("MinPods", min_pods),
    number("MaxPods", "spec.maxReplicas", "string"),
    number("Replicas", "status.currentReplicas", "string"),
    age_column(),
};
constexpr Column kScales[] = {
    {"Name", "string", "", 0, name_cell, nullptr, nullptr},
    number("Desired", "spec.replicas"),
    number("Available", "status.replicas"),
    age_column(),
};

constexpr ResourceTable kTables[] = {
    {"apps", "controllerrevisions", kControllerRevisions},
    {"apps", "daemonsets", kDaemonSets},
    {"apps", "deployments", kDeployments},
    {"apps", "replicasets", kReplicaSets},
    {"apps", "statefulsets", kStatefulSets},
    {"", "replicationcontrollers", kReplicationControllers},
    {"batch", "jobs", kJobs},
    {"batch", "cronjobs", kCronJobs},
    {"autoscaling", "horizontalpodautoscalers", kAutoscalers},
    {"autoscaling", "scales", kScales},
};

}  // namespace

std::span<const ResourceTable> workload_tables() { return kTables; }

}  // namespace knarr::api::table
