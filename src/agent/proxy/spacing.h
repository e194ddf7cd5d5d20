// How soon rules that changed are rendered: a few changes in a row at once each (a pod that comes
// is two or three), then one an interval. Milliseconds of any clock. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace knarr::agent {

class Spacing {
 public:
  static constexpr int64_t kIntervalMs = 50;
  static constexpr int64_t kAtOnce = 4;

  int64_t wait_ms(int64_t now_ms) const {
    return std::max<int64_t>(0, paid_until_ms_ - now_ms - (kAtOnce - 1) * kIntervalMs);
  }
  void rendered(int64_t now_ms) { paid_until_ms_ = std::max(paid_until_ms_, now_ms) + kIntervalMs; }

 private:
  int64_t paid_until_ms_ = 0;
};

}  // namespace knarr::agent
