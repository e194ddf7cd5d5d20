// One libuv loop a process, its Clock, and the ways into it from other threads. `uv.h` is cheap to
// include; the wrappers here exist because libuv frees a handle only in its close callback.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "knarr/clock.h"

namespace knarr::base {

class Loop final : public Clock {
 public:
  Loop();
  ~Loop() override;  // runs what close callbacks are left; every handle must be closed or closing
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  uv_loop_t* uv() { return &loop_; }
  void run();   // until stop()
  void stop();  // from the loop thread
  // Turns the loop until the condition holds or the time is over: for tests and short commands.
  bool run_until(const std::function<bool()>& condition, int64_t timeout_ms);

  // From any thread: fn runs on the loop thread, in the order of the posts. Keeps the loop alive
  // only through run().
  void post(std::function<void()> fn);

  int64_t now_us() const override;
  int64_t monotonic_ms() const override;
  std::unique_ptr<Timer> timer(std::function<void()> fn) override;
  void defer(std::function<void()> fn) override;

 private:
  void drain();

  uv_loop_t loop_;
  uv_async_t* wake_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // guarded by mutex_
  bool stopping_ = false;
};

// Closes a heap-allocated libuv handle and deletes it when libuv lets go.
template <typename Handle>
void close_handle(Handle* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* h) { delete reinterpret_cast<Handle*>(h); });
}

// Called on the loop thread whenever the descriptor is readable (or has an error), until destroyed.
// The descriptor stays the caller's and must outlive this.
class FdWatch {
 public:
  FdWatch(Loop& loop, int fd, int events /* UV_READABLE | UV_WRITABLE */,
          std::function<void(int events)> fn);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;
  void set_events(int events);  // 0 pauses

 private:
  struct State;
  State* state_;
};

}  // namespace knarr::base
