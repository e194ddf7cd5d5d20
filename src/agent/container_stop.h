// The end of one container that runs: its preStop hook, the stop signal, SIGKILL, before one
// deadline (of the monotonic clock). That it has ended comes as an event of the runtime's, not from
// here.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/epoch.h"
#include "agent/services.h"

namespace knarr::agent {

class ContainerStop {
 public:
  // `nothing_left`: the runtime knows of no such container that could end.
  ContainerStop(PodServices& services, std::function<void()> nothing_left)
      : services_(services), nothing_left_(std::move(nothing_left)) {}

  // With `hold` only the hook runs; the signal comes when release() is called and the hook is over.
  void begin(Prober::Target target, int64_t deadline_ms, bool hold);
  // Called again: the time can only become shorter. A hook that runs is waited for no more.
  void shorten(int64_t deadline_ms);
  void release();
  // The container has ended: answers under way come too late.
  void over() {
    epoch_.next();
    held_ = false;
  }

 private:
  void hook_over();
  void send_signal();

  PodServices& services_;
  std::function<void()> nothing_left_;
  Prober::Target target_;
  int64_t deadline_ms_ = 0;  // monotonic
  bool held_ = false;
  bool hook_over_ = false;
  Epoch epoch_;
};

}  // namespace knarr::agent
