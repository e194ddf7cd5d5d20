#include "server/metrics/metrics_objects.h"

#include <algorithm>

#include "api/duration.h"
#include "api/object.h"
#include "api/quantity.h"
#include "api/resource.h"
#include "base/json.h"
#include "base/time.h"

namespace knarr::server {

namespace {

using json::Value;

constexpr const char* kGroup = "metrics.k8s.io";
constexpr const char* kVersion = "v1beta1";

Value usage_of(const UsageRate& rate) {
  api::Quantity cpu = api::quantity_or_zero(std::to_string(rate.cpu_nano_cores) + "n");
  api::Quantity memory(rate.memory_bytes, api::Quantity::Format::kBinarySi);
  return Value::object({{"cpu", cpu.text()}, {"memory", memory.text()}});
}

Value object_of(const char* kind, const Object& of, const UsageRate& rate, int64_t now_us) {
  Value meta = Value::object({{"name", of.name.name}});
  if (!of.name.ns.empty()) meta.set("namespace", of.name.ns);
  meta.set("creationTimestamp", base::format_time(now_us));
  if (!of.labels.empty()) {
    Value labels = Value::object();
    for (const auto& [key, value] : of.labels) labels.set(key, value);
    meta.set("labels", std::move(labels));
  }
  return Value::object({{"kind", kind},
                        {"apiVersion", std::string(kGroup) + "/" + kVersion},
                        {"metadata", std::move(meta)},
                        {"timestamp", base::format_time(rate.timestamp_us)},
                        {"window", api::format_duration(rate.window_us * 1000)}});
}

ObjectRef made(const char* resource, const Value& object) {
  return api::make_object(*api::find_resource(kGroup, kVersion, resource), object, 0);
}

}  // namespace

ObjectRef node_metrics_object(const NodeMetrics::NodeUse& use, int64_t now_us) {
  Value object = object_of("NodeMetrics", *use.node, use.rate, now_us);
  return made("nodes", object.set("usage", usage_of(use.rate)));
}

ObjectRef pod_metrics_object(const NodeMetrics::PodUse& use, int64_t now_us) {
  // The earliest end and the longest window of its containers.
  UsageRate whole;
  Value containers = Value::array();
  for (const auto& [name, rate] : use.containers) {
    bool first = whole.timestamp_us == 0 || rate.timestamp_us < whole.timestamp_us;
    if (first) whole.timestamp_us = rate.timestamp_us;
    whole.window_us = std::max(whole.window_us, rate.window_us);
    containers.push_back(Value::object({{"name", name}, {"usage", usage_of(rate)}}));
  }
  Value object = object_of("PodMetrics", *use.pod, whole, now_us);
  return made("pods", object.set("containers", std::move(containers)));
}

}  // namespace knarr::server
