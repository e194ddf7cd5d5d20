#include "api/event_recorder.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "api/view/meta.h"
#include "base/format.h"
#include "base/time.h"

namespace knarr::api {

namespace {

constexpr size_t kMaxRemembered = 4096;
constexpr size_t kMaxAlike = 10;
constexpr int64_t kAlikeWindowUs = 600LL * 1000000;
constexpr int64_t kSeriesEndUs = 360LL * 1000000;
constexpr double kBurst = 25;
constexpr double kRefillPerSecond = 1.0 / 300;
constexpr std::string_view kAggregatedPrefix = "(combined from similar events): ";

client::Target events(const std::string& ns, const std::string& name) {
  return {"", "v1", "events", ns, name, ""};
}

// A bounded memory: forgetting everything now and then only costs a repeated event.
template <typename Map>
void bound(Map& map) {
  if (map.size() >= kMaxRemembered) map.clear();
}

}  // namespace

EventRecorder::EventRecorder(client::Client& client, const Clock& clock, std::string component,
                             std::string host, Style style)
    : client_(client),
      clock_(clock),
      component_(std::move(component)),
      host_(std::move(host)),
      style_(style),
      // Two components that speak of one object in one microsecond have a name each.
      sequence_(static_cast<int64_t>(std::hash<std::string>()(component_) % 1000)) {}

bool EventRecorder::allowed(const std::string& object_key) {
  bound(budgets_);
  Budget& budget = budgets_[object_key];
  int64_t now = clock_.now_us();
  if (budget.last_us != 0) {
    double seconds = static_cast<double>(now - budget.last_us) / 1e6;
    budget.tokens = std::min(kBurst, budget.tokens + seconds * kRefillPerSecond);
  }
  budget.last_us = now;
  if (budget.tokens < 1) return false;
  budget.tokens -= 1;
  return true;
}

// The key under which repetitions are counted; changes the message when too many are alike.
std::string EventRecorder::aggregate(const std::string& key, std::string& message) {
  bound(alike_);
  Alike& alike = alike_[key];
  int64_t now = clock_.now_us();
  if (now - alike.last_us > kAlikeWindowUs) alike.messages.clear();
  alike.last_us = now;
  alike.messages.insert(message);
  if (alike.messages.size() < kMaxAlike) return key + "\n" + message;
  alike.messages.erase(alike.messages.begin());
  message.insert(0, kAggregatedPrefix);
  return key;
}

void EventRecorder::record(const json::Value& object, EventType type, std::string_view reason,
                           std::string_view text, std::string_view action) {
  json::Value ref = object.has("metadata") ? object_reference(object) : object;
  std::string ns = ref["namespace"].text();
  if (ns.empty()) ns = "default";
  std::string object_key = ref["kind"].text() + "/" + ns + "/" + ref["name"].text() + "/" +
                           ref["uid"].text() + "/" + ref["fieldPath"].text();
  std::string message(text.substr(0, 1024));
  const char* type_text = type == EventType::kNormal ? "Normal" : "Warning";
  std::string key = fmt::format("{}\n{}\n{}\n{}", object_key, type_text, reason, action);
  if (style_ == Style::kCore) {
    if (!allowed(object_key)) return;
    key = aggregate(key, message);
  } else {
    key += "\n" + ref["resourceVersion"].text();  // a series is about one state of the object
  }
  if (auto it = told_.find(key); it != told_.end()) {
    if (style_ == Style::kCore) return patch_core(it->second, message);
    if (clock_.now_us() - it->second.last_us <= kSeriesEndUs) return patch_series(it->second);
    told_.erase(it);
  }

  json::Value event = json::Value::object(
      {{"apiVersion", "v1"}, {"kind", "Event"}, {"metadata", json::Value::object()}});
  event.set("involvedObject", ref);
  event.set("reason", reason).set("message", message);
  int64_t now = clock_.now_us();
  if (style_ == Style::kCore) {
    json::Value source = json::Value::object({{"component", component_}});
    if (!host_.empty()) source.set("host", host_);
    event.set("source", std::move(source));
    event.set("firstTimestamp", base::format_time(now))
        .set("lastTimestamp", base::format_time(now));
    event.set("count", 1).set("type", type_text);
    event.set("reportingComponent", component_).set("reportingInstance", host_);
  } else {
    event.set("type", type_text).set("eventTime", base::format_micro_time(now));
    event.set("action", action).set("reportingComponent", component_);
    event.set("reportingInstance", host_.empty() ? component_ : component_ + "-" + host_);
  }
  create(std::move(event), key, ns, ref["name"].text());
}

void EventRecorder::create(json::Value event, const std::string& key, const std::string& ns,
                           const std::string& base_name) {
  bound(told_);
  // Upstream's form: the object's name, a dot, the nanoseconds of its first occurrence.
  int64_t nanos = clock_.now_us() * 1000 + sequence_++ % 1000;
  Told told{ns, fmt::format("{}.{:x}", base_name, nanos), 1, clock_.now_us(), false};
  event.member("metadata").set("name", told.name).set("namespace", ns);
  client::Request request{client::Verb::kCreate, events(ns, ""), json::write(event), {}, {}};
  told_[key] = std::move(told);
  client_.call(std::move(request), [](Result<ObjectRef>) {});
}

void EventRecorder::patch_core(Told& told, const std::string& message) {
  ++told.count;
  send_patch(told, json::Value::object({{"count", told.count},
                                        {"lastTimestamp", base::format_time(clock_.now_us())},
                                        {"message", message}}));
}

// The first repetition makes it a series; later ones are counted and told no more, as upstream's
// recorder does until the series ends.
void EventRecorder::patch_series(Told& told) {
  ++told.count;
  told.last_us = clock_.now_us();
  if (std::exchange(told.series_told, true)) return;
  send_patch(told,
             json::Value::object(
                 {{"series", json::Value::object(
                                 {{"count", told.count},
                                  {"lastObservedTime", base::format_micro_time(told.last_us)}})}}));
}

void EventRecorder::send_patch(const Told& told, const json::Value& patch) {
  client::Request request{client::Verb::kPatch,
                          events(told.ns, told.name),
                          json::write(patch),
                          client::PatchType::kStrategicMerge,
                          {}};
  client_.call(std::move(request), [](Result<ObjectRef>) {});
}

}  // namespace knarr::api
