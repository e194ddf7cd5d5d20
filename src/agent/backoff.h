// How long a crashing container waits: at once the first time, then 10 s, doubling to 5 minutes;
// anew after it has run for 10 minutes (the kubelet's CrashLoopBackOff).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace knarr::agent {

class Backoff {
 public:
  static constexpr int64_t kFirstMs = 10 * 1000;
  static constexpr int64_t kMostMs = 300 * 1000;
  static constexpr int64_t kForgetMs = 600 * 1000;

  // The container ended at ended_ms after having run since started_ms. Answers when it may start
  // again.
  int64_t next_start(int64_t started_ms, int64_t ended_ms) {
    if (ended_ms - started_ms >= kForgetMs) next_ms_ = 0;
    wait_ms_ = next_ms_;
    next_ms_ = next_ms_ == 0 ? kFirstMs : std::min(next_ms_ * 2, kMostMs);
    return ended_ms + wait_ms_;
  }
  int64_t wait_ms() const { return wait_ms_; }  // of the last answer

 private:
  int64_t wait_ms_ = 0;
  int64_t next_ms_ = 0;
};

// "10s", "1m20s", "5m0s": as Go writes a whole number of seconds.
inline std::string duration_text(int64_t ms) {
  int64_t s = ms / 1000;
  if (s < 60) return std::to_string(s) + "s";
  return std::to_string(s / 60) + "m" + std::to_string(s % 60) + "s";
}

}  // namespace knarr::agent
