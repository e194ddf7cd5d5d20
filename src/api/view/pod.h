// A pod as controllers, scheduler and agent look at it: decoded once from its object.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/object.h"

namespace knarr::api {

enum class PodPhase { kPending, kRunning, kSucceeded, kFailed, kUnknown };

struct PodView {
  PodView() = default;
  explicit PodView(ObjectRef object);

  const std::string& name() const { return object->name.name; }
  const std::string& ns() const { return object->name.ns; }
  const std::string& uid() const { return object->uid; }

  bool deleting() const { return object->deleting; }
  bool terminal() const { return phase == PodPhase::kSucceeded || phase == PodPhase::kFailed; }
  bool active() const { return !terminal() && !deleting(); }
  bool terminating() const { return !terminal() && deleting(); }
  // When it became available, given minReadySeconds: 0 when it is not ready. Compare with now.
  int64_t available_at(int64_t min_ready_seconds) const;
  bool available(int64_t min_ready_seconds, int64_t now_us) const;

  ObjectRef object;
  json::Value value;
  PodPhase phase = PodPhase::kPending;
  std::string node;  // spec.nodeName
  bool ready = false;
  int64_t ready_since = 0;  // the Ready condition's lastTransitionTime
  int64_t created_at = 0;
};

PodPhase parse_phase(std::string_view text);

// Restarts of containers, the largest of them (what victim ranking compares).
int64_t max_restarts(const json::Value& pod);

// The number of the first container port of that name and protocol among containers and restartable
// init containers; 0 when there is none.
int64_t named_port(const json::Value& pod, std::string_view name, std::string_view protocol);

}  // namespace knarr::api
