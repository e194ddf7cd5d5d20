// The shim's event loop: poll(2) over the few descriptors it has, no timers, so that an idle pod
// costs no wakeup. Who is interested says so before each turn; nothing is registered, so nothing
// can be left behind.
#pragma once

#include <poll.h>

#include <functional>
#include <vector>

namespace knarr::runtime {

class Poller {
 public:
  // fn is called in this turn when one of the events, or an error, is there. events 0: errors only.
  void want(int fd, short events, std::function<void(short)> fn) {
    if (fd < 0) return;
    fds_.push_back(pollfd{fd, events, 0});
    functions_.push_back(std::move(fn));
  }

  // Waits, calls, forgets. A function must not destroy what a later one of this turn uses: owners
  // mark themselves dead and are swept between turns.
  void turn() {
    int ready = poll(fds_.data(), fds_.size(), -1);
    if (ready > 0) {
      for (size_t i = 0; i < fds_.size(); i++) {
        if (fds_[i].revents != 0) functions_[i](fds_[i].revents);
      }
    }
    fds_.clear();
    functions_.clear();
  }

 private:
  std::vector<pollfd> fds_;
  std::vector<std::function<void(short)>> functions_;
};

}  // namespace knarr::runtime
