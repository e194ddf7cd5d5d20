#include "server/registry/convert.h"

#include "knarr/check.h"

namespace knarr::server {
namespace {

using json::Value;

void rename(Value& v, std::string_view from, std::string_view to) {
  const Value* found = v.find(from);
  if (found == nullptr) return;
  Value moved = *found;
  v.erase(from);
  v.set(to, std::move(moved));
}

// core/v1 Event <-> events.k8s.io/v1 Event.
void event_to_core(Value& v) {
  rename(v, "note", "message");
  rename(v, "regarding", "involvedObject");
  rename(v, "reportingController", "reportingComponent");
  rename(v, "deprecatedSource", "source");
  rename(v, "deprecatedFirstTimestamp", "firstTimestamp");
  rename(v, "deprecatedLastTimestamp", "lastTimestamp");
  rename(v, "deprecatedCount", "count");
}

void event_from_core(Value& v) {
  rename(v, "message", "note");
  rename(v, "involvedObject", "regarding");
  rename(v, "reportingComponent", "reportingController");
  rename(v, "source", "deprecatedSource");
  rename(v, "firstTimestamp", "deprecatedFirstTimestamp");
  rename(v, "lastTimestamp", "deprecatedLastTimestamp");
  rename(v, "count", "deprecatedCount");
}

constexpr const char* kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr const char* kCurrentMetrics = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr const char* kBehavior = "autoscaling.alpha.kubernetes.io/behavior";
constexpr const char* kConditions = "autoscaling.alpha.kubernetes.io/conditions";

Value take_annotation(Value& meta, const char* key) {
  Value* annotations = meta.find("annotations");
  if (annotations == nullptr) return {};
  const Value* text = annotations->find(key);
  if (text == nullptr) return {};
  Result<Value> parsed = json::parse(text->as_string());
  annotations->erase(key);
  if (annotations->empty()) meta.erase("annotations");
  return parsed.ok() ? *std::move(parsed) : Value();
}

Value cpu_metric(const Value& utilization) {
  return Value::object(
      {{"type", "Resource"},
       {"resource",
        Value::object({{"name", "cpu"},
                       {"target", Value::object({{"type", "Utilization"},
                                                 {"averageUtilization", utilization}})}})}});
}

bool is_cpu(const Value& metric, const char* part) {
  return metric["type"].as_string() == "Resource" &&
         metric["resource"]["name"].as_string() == "cpu" &&
         metric["resource"][part].has("averageUtilization");
}

void hpa_to_v2(Value& v) {
  // All three before one is used: a new member moves the others.
  for (const char* part : {"metadata", "spec", "status"}) v.member(part);
  Value& meta = v.member("metadata");
  Value& spec = v.member("spec");
  Value metrics = take_annotation(meta, kMetrics);
  if (!metrics.is_array()) metrics = Value::array();
  if (const Value* target = spec.find("targetCPUUtilizationPercentage")) {
    metrics.insert(0, cpu_metric(*target));
    spec.erase("targetCPUUtilizationPercentage");
  }
  if (!metrics.empty()) spec.set("metrics", std::move(metrics));
  Value behavior = take_annotation(meta, kBehavior);
  if (!behavior.is_null()) spec.set("behavior", std::move(behavior));

  Value& status = v.member("status");
  Value current = take_annotation(meta, kCurrentMetrics);
  if (!current.is_array()) current = Value::array();
  if (const Value* now = status.find("currentCPUUtilizationPercentage")) {
    Value metric = Value::object(
        {{"type", "Resource"},
         {"resource",
          Value::object(
              {{"name", "cpu"}, {"current", Value::object({{"averageUtilization", *now}})}})}});
    current.insert(0, std::move(metric));
    status.erase("currentCPUUtilizationPercentage");
  }
  if (!current.empty()) status.set("currentMetrics", std::move(current));
  Value conditions = take_annotation(meta, kConditions);
  if (!conditions.is_null()) status.set("conditions", std::move(conditions));
}

void put_annotation(Value& v, const char* key, const Value& value) {
  if (value.empty()) return;
  v.member("metadata").member("annotations").set(key, json::write(value));
}

// Takes the first CPU utilisation out of the list; what is left goes into an annotation.
void split_metrics(Value& v, Value& part, const char* list, const char* field, const char* key,
                   const char* annotation) {
  Value rest = Value::array();
  Value found;
  for (const Value& metric : part[list].elements()) {
    if (found.is_null() && is_cpu(metric, key)) {
      found = metric["resource"][key]["averageUtilization"];
    } else {
      rest.push_back(metric);
    }
  }
  part.erase(list);
  if (!found.is_null()) part.set(field, std::move(found));
  put_annotation(v, annotation, rest);
}

void hpa_to_v1(Value& v) {
  Value spec = v["spec"];
  Value status = v["status"];
  split_metrics(v, spec, "metrics", "targetCPUUtilizationPercentage", "target", kMetrics);
  split_metrics(v, status, "currentMetrics", "currentCPUUtilizationPercentage", "current",
                kCurrentMetrics);
  put_annotation(v, kBehavior, spec["behavior"]);
  put_annotation(v, kConditions, status["conditions"]);
  spec.erase("behavior");
  status.erase("conditions");
  v.set("spec", std::move(spec));
  v.set("status", std::move(status));
}

}  // namespace

const api::ResourceInfo& storage_of(const api::ResourceInfo& resource) {
  const api::ResourceInfo* found = nullptr;
  if (resource.group == "events.k8s.io") {
    found = api::find_resource("", "v1", "events");
  } else if (!resource.preferred) {
    found = api::find_resource_group(resource.group, resource.plural);
  }
  return found == nullptr ? resource : *found;
}

Value convert(const api::ResourceInfo& from, const api::ResourceInfo& to, Value value) {
  if (&from == &to) return value;
  if (from.plural == "events") {
    if (to.group.empty()) {
      event_to_core(value);
    } else {
      event_from_core(value);
    }
  } else if (from.plural == "horizontalpodautoscalers") {
    if (to.version == "v2") {
      hpa_to_v2(value);
    } else {
      hpa_to_v1(value);
    }
  }
  value.set("apiVersion", to.api_version());
  return value;
}

}  // namespace knarr::server
