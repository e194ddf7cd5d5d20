// A network namespace for a test: the body runs on a thread of its own that has left the host's, so
// nothing of the machine is touched, and all of it vanishes with the thread.
#pragma once

#include <sched.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <thread>

namespace knarr::agent {

inline void in_new_netns(const std::function<void()>& body) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error("unshare(CLONE_NEWNET) failed");
      body();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace knarr::agent
