// Makes a bridge, and sees to it that it is there: what the kernel refuses is tried again after a
// while, and at once when the machine's links change; one that others take away or down is made
// anew. Loop thread; the work is a worker's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/network/link_monitor.h"
#include "base/worker.h"
#include "knarr/clock.h"

namespace knarr::agent {

class BridgeKeeper {
 public:
  using Job = std::function<Result<void>()>;  // for the worker; to be repeated without harm
  // `job` is asked for on the loop thread, each time.
  BridgeKeeper(base::Loop& loop, base::Worker& worker, std::string bridge,
               std::function<Job()> job);

  // In the network namespace of the caller. `made` the first time that it is.
  void start(std::function<void()> made = {});

 private:
  void make();
  void ended(const Result<void>& result);
  void link_changed(const std::string& name);

  base::Worker& worker_;
  std::string bridge_;
  std::function<Job()> job_;
  std::function<void()> made_;
  LinkMonitor monitor_;
  std::unique_ptr<Timer> retry_;
  int64_t retry_ms_ = 0;  // 0: the last attempt was good
  bool making_ = false;
  bool again_ = false;  // something changed while it was made
};

}  // namespace knarr::agent
