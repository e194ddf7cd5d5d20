// Events: those sent to the core group are checked as loosely as they always were, those of
// events.k8s.io strictly. Both are named by the core group's fields, in which they are stored.
#include "api/validation/core.h"
#include "api/validation/internal.h"

namespace knarr::api::rules {
namespace {

const Path kMetadata("metadata");

void at_most(const Value& value, size_t max, const char* field, bool required, ErrorList& errors) {
  std::string_view text = value.as_string();
  if (required && text.empty()) errors.required(Path(field));
  if (text.size() > max) {
    errors.invalid(Path(field), "", "can have at most " + std::to_string(max) + " characters");
  }
}

void legacy(const Value& object, const char* controller_field, ErrorList& errors) {
  std::string_view ns = object["metadata"]["namespace"].as_string();
  std::string_view about = object["involvedObject"]["namespace"].as_string();
  bool timed = !object["eventTime"].is_null();
  bool agree = about.empty() ? ns.empty() || ns == "default" || (timed && ns == "kube-system")
                             : about == ns || timed;
  if (!agree) {
    errors.invalid(Path("involvedObject") / "namespace", about, "does not match event.namespace");
  }
  if (timed) {
    const Value& controller = object["reportingComponent"];
    if (controller.as_string().empty()) errors.required(Path(controller_field));
    qualified_name(controller, Path(controller_field), errors);
    at_most(object["reportingInstance"], 128, "reportingInstance", true, errors);
    at_most(object["action"], 128, "action", true, errors);
    at_most(object["reason"], 128, "reason", true, errors);
    at_most(object["message"], 1024, "message", false, errors);
  }
  errors.invalid_all(Path("namespace"), ns, check_dns1123_subdomain(ns));
}

void series(const Value& object, ErrorList& errors) {
  const Value& series = object["series"];
  if (series.is_null()) return;
  if (series["count"].as_int() < 2) {
    errors.invalid(Path("series.count"), "", "should be at least 2");
  }
  if (series["lastObservedTime"].is_null()) errors.required(Path("series.lastObservedTime"));
}

}  // namespace

void event(const Value& object, ErrorList& errors) { legacy(object, "reportingComponent", errors); }

void event_update(const Value& object, const Value&, ErrorList& errors) { event(object, errors); }

void strict_event(const Value& object, ErrorList& errors) {
  legacy(object, "reportingController", errors);
  const Value& meta = object["metadata"];
  validate_metadata(meta, true, name_is_dns_subdomain, {}, kMetadata, errors);
  validate_kube_finalizers(meta["finalizers"], kMetadata / "finalizers", errors);
  series(object, errors);
  if (object["eventTime"].is_null()) errors.required(Path("eventTime"));
  std::string_view type = object["type"].as_string();
  if (type != "Normal" && type != "Warning") {
    errors.invalid(Path("type"), "", "has invalid value: " + std::string(type));
  }
  for (const char* member : {"firstTimestamp", "lastTimestamp"}) {
    if (!object[member].is_null()) errors.invalid(Path(member), "", "needs to be unset");
  }
  if (object["count"].as_int() != 0) errors.invalid(Path("count"), "", "needs to be unset");
  const Value& source = object["source"];
  if (!source["component"].as_string().empty() || !source["host"].as_string().empty()) {
    errors.invalid(Path("source"), "", "needs to be unset");
  }
}

void strict_event_update(const Value& object, const Value& old, ErrorList& errors) {
  legacy(object, "reportingController", errors);
  validate_metadata_update(object["metadata"], old["metadata"], kMetadata, errors);
  validate_kube_finalizers(object["metadata"]["finalizers"], kMetadata / "finalizers", errors);
  if (!same(object["series"], old["series"])) series(object, errors);
  struct Member {
    const char* name;
    const char* path;
    const char* type;
  };
  for (const Member& m :
       {Member{"involvedObject", "involvedObject", "ObjectReference"},
        Member{"reason", "reason", nullptr}, Member{"message", "message", nullptr},
        Member{"source", "source", "EventSource"},
        Member{"firstTimestamp", "firstTimestamp", nullptr},
        Member{"lastTimestamp", "lastTimestamp", nullptr}, Member{"count", "count", nullptr},
        Member{"reason", "reason", nullptr}, Member{"type", "type", nullptr},
        Member{"eventTime", "eventTime", nullptr}, Member{"action", "action", nullptr},
        Member{"related", "related", "ObjectReference"},
        Member{"reportingComponent", "reportingController", nullptr},
        Member{"reportingInstance", "reportingInstance", nullptr}}) {
    const Value& now = object[m.name];
    if (same(now, old[m.name])) continue;
    bool text = now.is_null() && old[m.name].is_string();
    Value shown = m.type != nullptr ? internal_value("", "v1", m.type, now)
                  : text            ? Value("")
                                    : now;
    errors.invalid(Path(m.path), shown, kImmutable);
  }
}

}  // namespace knarr::api::rules
