// The arithmetic of horizontal autoscaling, as upstream has it: from what pods use to how many
// there should be, and how fast that may change. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/view/pod.h"
#include "knarr/result.h"

namespace knarr::server {

struct PodMetric {
  int64_t value_milli = 0;
  int64_t timestamp_us = 0;
  int64_t window_us = 0;
};
using PodMetrics = std::map<std::string, PodMetric>;  // by pod name

struct Tolerances {
  double up = 0.1;
  double down = 0.1;
  bool holds(double ratio) const { return 1.0 - down <= ratio && ratio <= 1.0 + up; }
};

struct PodUsage {
  const std::vector<api::PodView>& pods;  // that the target's selector chooses
  PodMetrics metrics;
  int64_t current = 0;  // replicas that the target is set to
  bool cpu = false;     // its first minutes say little about a pod
  Tolerances tolerances;
  int64_t now_us = 0;
};

struct Proposal {
  int64_t replicas = 0;
  int64_t utilization_percent = 0;
  int64_t average_milli = 0;
};

// To a share of what pods ask for; `requests` in thousandths, by pod name.
Result<Proposal> replicas_for_utilization(PodUsage usage,
                                          const std::map<std::string, int64_t>& requests,
                                          int64_t target_percent);
// To an amount a pod.
Result<Proposal> replicas_for_average(PodUsage usage, int64_t target_milli);

// What a pod (or one container of each) asks for of a resource. An error names what asks for none.
Result<std::map<std::string, int64_t>> requests_of(const std::vector<api::PodView>& pods,
                                                   const std::string& resource,
                                                   const std::string& container);

// Everything that was recommended and done lately for one autoscaler.
struct ScaleHistory {
  struct Recommendation {
    int64_t at_us;
    int64_t replicas;
  };
  struct Change {
    int64_t at_us;
    int64_t replicas;  // added or taken, positive
  };
  std::vector<Recommendation> recommendations;
  std::vector<Change> ups, downs;

  void forget_before(int64_t cutoff_us);
};

struct ScaleLimits {
  int64_t least = 1;
  int64_t most = 1;
};

struct ScaleVerdict {
  int64_t replicas = 0;
  bool stabilized = false;
  std::string stable_reason, stable_message;  // condition AbleToScale
  bool limited = false;
  std::string limit_reason, limit_message;  // condition ScalingLimited
};

// What becomes of a recommendation; notes it in the history. `behavior` is spec.behavior, or null.
ScaleVerdict settle_replicas(ScaleHistory& history, const json::Value& behavior, ScaleLimits limits,
                             int64_t current, int64_t wanted, int64_t now_us);

}  // namespace knarr::server
