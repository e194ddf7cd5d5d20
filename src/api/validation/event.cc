// Events: the core group's are checked as loosely as they always were, those of events.k8s.io
// strictly. Both are named by the core group's fields.
#include "api/validation/core.h"

namespace knarr::api::rules {
namespace {

const Value& either(const Value& event, const char* core, const char* events) {
  const Value& value = event[core];
  return value.is_null() ? event[events] : value;
}

void at_most(const Value& value, size_t max, const char* field, bool required, ErrorList& errors) {
  std::string_view text = value.as_string();
  if (required && text.empty()) errors.required(Path(field));
  if (text.size() > max) {
    errors.invalid(Path(field), "", "can have at most " + std::to_string(max) + " characters");
  }
}

bool is_events_group(const Value& event) {
  return event["apiVersion"].as_string().substr(0, 14) == "events.k8s.io/";
}

}  // namespace

void event(const Value& object, ErrorList& errors) {
  std::string_view ns = object["metadata"]["namespace"].as_string();
  std::string_view about = either(object, "involvedObject", "regarding")["namespace"].as_string();
  bool timed = !object["eventTime"].is_null();
  bool agree = about.empty() ? ns.empty() || ns == "default" || (timed && ns == "kube-system")
                             : about == ns || timed;
  if (!agree) {
    errors.invalid(Path("involvedObject") / "namespace", about, "does not match event.namespace");
  }
  if (timed) {
    const Value& controller = either(object, "reportingComponent", "reportingController");
    Path path(is_events_group(object) ? "reportingController" : "reportingComponent");
    if (controller.as_string().empty()) errors.required(path);
    qualified_name(controller, path, errors);
    at_most(object["reportingInstance"], 128, "reportingInstance", true, errors);
    at_most(object["action"], 128, "action", true, errors);
    at_most(object["reason"], 128, "reason", true, errors);
    at_most(either(object, "message", "note"), 1024, "message", false, errors);
  }
  if (!is_events_group(object)) return;
  if (!timed) errors.required(Path("eventTime"));
  const Value& series = object["series"];
  if (!series.is_null()) {
    if (series["count"].as_int() < 2) {
      errors.invalid(Path("series") / "count", "", "should be at least 2");
    }
    if (series["lastObservedTime"].is_null()) errors.required(Path("series") / "lastObservedTime");
  }
  std::string_view type = object["type"].as_string();
  if (type != "Normal" && type != "Warning") {
    errors.invalid(Path("type"), "", "has invalid value: " + std::string(type));
  }
  struct Old {
    const char* name;
    const char* core;
    const char* events;
  };
  for (const Old& one : {Old{"firstTimestamp", "firstTimestamp", "deprecatedFirstTimestamp"},
                         Old{"lastTimestamp", "lastTimestamp", "deprecatedLastTimestamp"},
                         Old{"count", "count", "deprecatedCount"}}) {
    const Value& value = either(object, one.core, one.events);
    if (!value.is_null() && !(value.is_integer() && value.as_int() == 0)) {
      errors.invalid(Path(one.name), "", "needs to be unset");
    }
  }
  if (!either(object, "source", "deprecatedSource").empty()) {
    const Value& source = either(object, "source", "deprecatedSource");
    if (!source["component"].as_string().empty() || !source["host"].as_string().empty()) {
      errors.invalid(Path("source"), "", "needs to be unset");
    }
  }
}

void event_update(const Value& object, const Value& old, ErrorList& errors) {
  event(object, errors);
  if (!is_events_group(object)) return;
  struct Member {
    const char* core;
    const char* events;
  };
  for (const Member& m :
       {Member{"involvedObject", "regarding"}, Member{"reason", "reason"},
        Member{"message", "note"}, Member{"type", "type"}, Member{"eventTime", "eventTime"},
        Member{"action", "action"}, Member{"related", "related"},
        Member{"reportingInstance", "reportingInstance"}}) {
    immutable(either(object, m.core, m.events), either(old, m.core, m.events), Path(m.core),
              errors);
  }
}

}  // namespace knarr::api::rules
