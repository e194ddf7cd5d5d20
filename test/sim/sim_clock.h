// Virtual time: timers fire in order of their times (then of their starts), and time jumps from one
// to the next. A run is a function of what was asked, so a seed gives the same run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "knarr/clock.h"

namespace knarr::sim {

class SimClock final : public Clock {
 public:
  explicit SimClock(int64_t start_us = 1767225600LL * 1000000) : start_us_(start_us) {}

  int64_t now_us() const override { return start_us_ + now_ms_ * 1000; }
  int64_t monotonic_ms() const override { return now_ms_; }
  std::unique_ptr<Timer> timer(std::function<void()> fn) override;
  void defer(std::function<void()> fn) override { add(0, std::move(fn)); }

  // Runs what is due until the condition holds, nothing is left, or the time is over. True when the
  // condition holds.
  bool run_until(const std::function<bool()>& condition, int64_t limit_ms);
  void run_for(int64_t ms) {
    run_until([] { return false; }, ms);
  }
  int64_t steps() const { return steps_; }

 private:
  class SimTimer;
  using Key = std::pair<int64_t, int64_t>;
  Key add(int64_t delay_ms, std::function<void()> fn);

  int64_t start_us_;
  int64_t now_ms_ = 0;
  int64_t sequence_ = 0;
  int64_t steps_ = 0;
  std::map<Key, std::function<void()>> due_;
};

}  // namespace knarr::sim
