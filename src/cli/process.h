// What every long-running subcommand does as a process: signals, limits, the word to the service
// manager.
#pragma once

#include <functional>

#include "base/loop.h"

namespace knarr::cli {

// Calls fn when the signal comes.
class SignalWatch {
 public:
  SignalWatch(base::Loop& loop, int signal, std::function<void()> fn);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  uv_signal_t* handle_;
  std::function<void()> fn_;
};

// sd_notify(3): the service manager that started us hears "READY=1" or "STOPPING=1".
void notify_service_manager(const char* state);

// Once, before the loop: no SIGPIPE, and as many descriptors as there may be.
void prepare_process();

}  // namespace knarr::cli
