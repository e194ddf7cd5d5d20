// A network namespace for a test: this thread leaves the host's for one of its own while the body
// runs, so nothing of the machine is touched, and all of it vanishes afterwards. Threads that the
// body makes are in it too.
#pragma once

#include <fcntl.h>
#include <sched.h>

#include <catch2/catch.hpp>
#include <functional>

#include "base/unique_fd.h"

namespace knarr::agent {

class NewNetns {
 public:
  NewNetns() : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    REQUIRE(home_.valid());
    REQUIRE(unshare(CLONE_NEWNET) == 0);
  }
  ~NewNetns() { setns(home_.get(), CLONE_NEWNET); }
  NewNetns(const NewNetns&) = delete;
  NewNetns& operator=(const NewNetns&) = delete;

 private:
  base::UniqueFd home_;
};

inline void in_new_netns(const std::function<void()>& body) {
  NewNetns inside;
  body();
}

}  // namespace knarr::agent
