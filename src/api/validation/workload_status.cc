// The status of workloads: counters that are counts, and fit together.
#include "api/validation/workload.h"

namespace knarr::api::rules {
namespace {

const Path kStatus("status");

void counters(const Value& object, std::initializer_list<const char*> members, ErrorList& errors) {
  for (const char* member : members) {
    not_negative(object["status"][member], kStatus / member, errors);
  }
}

void not_more(const Value& object, std::initializer_list<const char*> members, const char* than,
              std::string_view detail, ErrorList& errors) {
  const Value& status = object["status"];
  for (const char* member : members) {
    if (status[member].as_int() > status[than].as_int()) {
      errors.invalid(kStatus / member, status[member], detail);
    }
  }
}

constexpr std::string_view kAboveReplicas = "cannot be greater than status.replicas";

void collisions(const Value& object, const Value& old, ErrorList& errors) {
  const Value& now = object["status"]["collisionCount"];
  const Value& before = old["status"]["collisionCount"];
  if (!before.is_null() && (now.is_null() || now.as_int() < before.as_int())) {
    errors.invalid(kStatus / "collisionCount", now.as_int(), "cannot be decremented");
  }
}

}  // namespace

void replica_status(const Value& object, const Value&, ErrorList& errors) {
  counters(object,
           {"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
            "observedGeneration", "terminatingReplicas"},
           errors);
  not_more(object, {"fullyLabeledReplicas", "readyReplicas", "availableReplicas"}, "replicas",
           kAboveReplicas, errors);
  not_more(object, {"availableReplicas"}, "readyReplicas", "cannot be greater than readyReplicas",
           errors);
}

void deployment_status(const Value& object, const Value& old, ErrorList& errors) {
  counters(object,
           {"observedGeneration", "replicas", "updatedReplicas", "readyReplicas",
            "availableReplicas", "unavailableReplicas", "terminatingReplicas", "collisionCount"},
           errors);
  not_more(object, {"updatedReplicas", "readyReplicas", "availableReplicas"}, "replicas",
           kAboveReplicas, errors);
  not_more(object, {"availableReplicas"}, "readyReplicas", "cannot be greater than readyReplicas",
           errors);
  collisions(object, old, errors);
}

void daemon_set_status(const Value& object, const Value& old, ErrorList& errors) {
  counters(object,
           {"currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
            "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable",
            "collisionCount"},
           errors);
  collisions(object, old, errors);
}

void stateful_set_status(const Value& object, const Value& old, ErrorList& errors) {
  counters(object,
           {"replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
            "observedGeneration", "collisionCount"},
           errors);
  not_more(object, {"readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"},
           "replicas", kAboveReplicas, errors);
  not_more(object, {"availableReplicas"}, "readyReplicas",
           "cannot be greater than status.readyReplicas", errors);
  collisions(object, old, errors);
}

}  // namespace knarr::api::rules
