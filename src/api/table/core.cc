// The core group's small kinds, and events.
#include <algorithm>

#include "api/duration.h"
#include "api/table/columns.h"
#include "base/format.h"

namespace knarr::api::table {
namespace {

json::Value config_map_data(const json::Value& object, int64_t) {
  return static_cast<int64_t>(object["data"].size() + object["binaryData"].size());
}

json::Value secret_data(const json::Value& object, int64_t) {
  return static_cast<int64_t>(object["data"].size());
}

json::Value quota_lines(const json::Value& quota, bool limits) {
  std::vector<std::string> keys;
  for (auto [key, value] : quota["status"]["hard"].members()) {
    if ((key.substr(0, 7) == "limits.") == limits) keys.emplace_back(key);
  }
  std::sort(keys.begin(), keys.end());
  for (std::string& key : keys) {
    std::string_view used = quota["status"]["used"][key].as_string();
    key = fmt::format("{}: {}/{}", key, used.empty() ? "0" : used,
                      quota["status"]["hard"][key].as_string());
  }
  return joined(keys, ", ");
}
json::Value quota_requests(const json::Value& quota, int64_t) { return quota_lines(quota, false); }
json::Value quota_limits(const json::Value& quota, int64_t) { return quota_lines(quota, true); }

const json::Value& healthy(const json::Value& object) {
  for (const json::Value& condition : object["conditions"].elements()) {
    if (condition["type"].as_string() == "Healthy") return condition;
  }
  static const json::Value none;
  return none;
}
json::Value component_status(const json::Value& object, int64_t) {
  std::string_view status = healthy(object)["status"].as_string();
  return status.empty() ? "Unknown" : status == "True" ? "Healthy" : "Unhealthy";
}
json::Value component_message(const json::Value& object, int64_t) {
  return healthy(object)["message"].as_string();
}
json::Value component_error(const json::Value& object, int64_t) {
  return healthy(object)["error"].as_string();
}

// An event in either of its forms: core/v1 and events.k8s.io/v1 name the same things differently.
const json::Value& either(const json::Value& event, const char* core, const char* events) {
  const json::Value& value = event[core];
  return value.is_null() ? event[events] : value;
}

std::string first_seen_text(const json::Value& event, int64_t now_us) {
  std::string_view at = either(event, "firstTimestamp", "deprecatedFirstTimestamp").as_string();
  if (at.empty()) at = event["eventTime"].as_string();
  return age(at, now_us);
}
json::Value first_seen(const json::Value& event, int64_t now_us) {
  return first_seen_text(event, now_us);
}

json::Value last_seen(const json::Value& event, int64_t now_us) {
  if (event["series"].is_object()) {
    return age(event["series"]["lastObservedTime"].as_string(), now_us);
  }
  std::string_view at = either(event, "lastTimestamp", "deprecatedLastTimestamp").as_string();
  return at.empty() ? first_seen_text(event, now_us) : age(at, now_us);
}

json::Value event_object(const json::Value& event, int64_t) {
  const json::Value& object = either(event, "involvedObject", "regarding");
  std::string out = lower(object["kind"].as_string());
  if (!object["name"].as_string().empty()) out.append("/").append(object["name"].as_string());
  return out;
}

json::Value event_subobject(const json::Value& event, int64_t) {
  return either(event, "involvedObject", "regarding")["fieldPath"].as_string();
}

json::Value event_source(const json::Value& event, int64_t) {
  const json::Value& source = either(event, "source", "deprecatedSource");
  std::string_view component = source["component"].as_string();
  if (component.empty()) {
    component = either(event, "reportingComponent", "reportingController").as_string();
  }
  std::string_view host = source["host"].as_string();
  if (host.empty()) host = event["reportingInstance"].as_string();
  return host.empty() ? std::string(component) : fmt::format("{}, {}", component, host);
}

json::Value event_message(const json::Value& event, int64_t) {
  std::string_view text = either(event, "message", "note").as_string();
  constexpr std::string_view kSpace = " \t\n\r\v\f";
  size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

json::Value event_count(const json::Value& event, int64_t) {
  if (event["series"].is_object()) return event["series"]["count"].as_int();
  int64_t count = either(event, "count", "deprecatedCount").as_int();
  return count == 0 ? 1 : count;
}

constexpr Column kComponentStatuses[] = {name_column(), cell("Status", component_status),
                                         cell("Message", component_message),
                                         cell("Error", component_error)};
constexpr Column kConfigMaps[] = {name_column(), cell("Data", config_map_data), age_column()};
constexpr Column kNamespaces[] = {name_column(), text("Status", "status.phase"), age_column()};
constexpr Column kQuotas[] = {name_column(), cell("Request", quota_requests),
                              cell("Limit", quota_limits), age_column()};
constexpr Column kSecrets[] = {name_column(), text("Type", "type"), cell("Data", secret_data),
                               age_column()};
constexpr Column kServiceAccounts[] = {name_column(), age_column()};
constexpr Column kEvents[] = {
    cell("Last Seen", last_seen),
    text("Type", "type"),
    text("Reason", "reason"),
    cell("Object", event_object),
    cell("Subobject", event_subobject, "string", 1),
    cell("Source", event_source, "string", 1),
    cell("Message", event_message),
    cell("First Seen", first_seen, "string", 1),
    cell("Count", event_count, "string", 1),
    {"Name", "string", "name", 1, name_cell, nullptr, nullptr},
};

constexpr ResourceTable kTables[] = {
    {"", "componentstatuses", kComponentStatuses},
    {"", "configmaps", kConfigMaps},
    {"", "events", kEvents},
    {"events.k8s.io", "events", kEvents},
    {"", "namespaces", kNamespaces},
    {"", "resourcequotas", kQuotas},
    {"", "secrets", kSecrets},
    {"", "serviceaccounts", kServiceAccounts},
};

}  // namespace

std::span<const ResourceTable> core_tables() { return kTables; }

}  // namespace knarr::api::table
