// A timer for a time of day: it knows when the clock is set, and sleeps until then. The loop's own
// timers count the time that passes, which is another thing. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/loop.h"
#include "base/unique_fd.h"

namespace knarr::base {

class WallTimer {
 public:
  // fn is called once per start(): at its time, or at once when the clock is set meanwhile; who
  // asked looks at the clock again.
  WallTimer(Loop& loop, std::function<void()> fn);
  ~WallTimer();

  void start(int64_t at_us);  // microseconds since the epoch; what is past is the next turn
  void stop();

 private:
  void fire();

  std::function<void()> fn_;
  UniqueFd fd_;
  std::unique_ptr<FdWatch> watch_;
  bool active_ = false;
};

}  // namespace knarr::base
