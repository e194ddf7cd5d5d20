// Time, and the promise to do something later. Everything in server and agent takes its time from a
// Clock, so that test/sim can run it in virtual time. All of it is used on the loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace knarr {

// Calls its function once per start(), on the loop thread. Destroying it cancels it.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void start(int64_t delay_ms) = 0;  // re-arms when already running; 0 is "next turn"
  virtual void stop() = 0;
  virtual bool active() const = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t now_us() const = 0;        // wall time, microseconds since the epoch
  virtual int64_t monotonic_ms() const = 0;  // never steps back
  virtual std::unique_ptr<Timer> timer(std::function<void()> fn) = 0;
  // Runs fn on the loop thread after the callback that is running now.
  virtual void defer(std::function<void()> fn) = 0;
};

}  // namespace knarr
