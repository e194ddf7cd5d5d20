// Work that would block the loop: files on disks that may be dead, mounts, trees to remove.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "agent/services.h"
#include "runtime/image/work_pool.h"

namespace knarr::agent {

class Offload {
 public:
  virtual ~Offload() = default;
  using Work = std::function<Result<void>()>;
  // `work` elsewhere, then `done` on the loop thread. What has the same key runs one after the
  // other, in the order of the calls; an empty key waits for nothing. The work refers to no state
  // of the loop's.
  virtual void run(const std::string& key, Work work, Callback<void> done) = 0;
};

// On threads that exist while there is work. At the end those that a dead disk holds are left
// behind. Loop thread.
class PoolOffload final : public Offload {
 public:
  PoolOffload(base::Loop& loop, int max_threads) : pool_(loop, max_threads, kPatienceMs) {}
  void run(const std::string& key, Work work, Callback<void> done) override;

 private:
  static constexpr int64_t kPatienceMs = 2000;
  struct Job {
    Work work;
    Callback<void> done;
  };
  void next(const std::string& key);

  std::map<std::string, std::deque<Job>> queues_;  // of keys that are busy: the jobs that wait
  runtime::WorkPool pool_;
};

}  // namespace knarr::agent
