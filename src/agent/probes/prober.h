// Runs the probes of every container: one timer a probe, due only when the probe is. The agent's
// Prober.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "agent/probes/handler.h"
#include "agent/services.h"

namespace knarr::agent {

// How often, how long, how many times: the numbers of a probe, defaults filled in.
struct ProbeSettings {
  int64_t initial_delay_ms = 0;
  int64_t period_ms = 10000;
  int64_t timeout_ms = 1000;
  int64_t success_threshold = 1;
  int64_t failure_threshold = 3;
};
ProbeSettings probe_settings(const json::Value& probe);

// Counts equal results in a row and says when the verdict changes. Pure.
class ProbeCounter {
 public:
  ProbeCounter(const ProbeSettings& settings, bool initially_passed)
      : settings_(settings), passed_(initially_passed) {}
  // True when the threshold is reached with this result and the verdict is another one now.
  bool add(bool success);
  bool passed() const { return passed_; }
  // The failure threshold is reached while the verdict was "not passed" all along.
  bool failed_for_good() const {
    return !passed_ && !last_ && in_a_row_ >= settings_.failure_threshold;
  }

 private:
  ProbeSettings settings_;
  bool passed_;
  bool last_ = false;
  int64_t in_a_row_ = 0;
};

class ContainerProber final : public Prober {
 public:
  ContainerProber(Clock& clock, HandlerRunner& runner, PodEvents& events);
  ~ContainerProber() override;

  void start(Target target, Verdict verdict) override;
  void stop(const std::string& container_id) override;
  // Of the pods that have containers with probes now.
  std::vector<ProbeCount> counts() const;

 private:
  class Worker;
  struct Container;
  void begin(Container& container, ProbeKind kind);
  void count(const Target& target, ProbeKind kind, const char* result);

  Clock& clock_;
  HandlerRunner& runner_;
  PodEvents& events_;
  std::map<std::string, std::shared_ptr<Container>> containers_;
  // By pod uid; then by container, kind and result.
  std::map<std::string, std::map<std::tuple<std::string, ProbeKind, std::string_view>, ProbeCount>>
      counts_;
};

}  // namespace knarr::agent
