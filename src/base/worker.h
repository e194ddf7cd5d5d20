// One thread that runs jobs in order and answers on the loop thread: for what would block the loop
// (netlink, child processes, entering network namespaces, files). It sleeps while there is nothing
// to do.
// The thread has the namespaces of the thread that makes it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/loop.h"
#include "knarr/result.h"

namespace knarr::base {

class Worker {
 public:
  explicit Worker(Loop& loop);  // which must outlive it
  ~Worker();                    // after the jobs that are queued; nothing is answered any more
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // `job` on the worker's thread, then `done` on the loop thread. Neither refers to the other's
  // state but through what the job returns.
  template <typename T>
  void run(std::function<Result<T>()> job, std::function<void(Result<T>)> done) {
    // Nothing of `done` stays behind on the worker's thread: what it holds ends on the loop's.
    auto answered = std::make_shared<std::function<void(Result<T>)>>(std::move(done));
    push([this, job = std::move(job), answered = std::move(answered)]() mutable {
      auto result = std::make_shared<Result<T>>(job());
      answer([answered = std::move(answered), result = std::move(result)] {
        if (*answered) (*answered)(std::move(*result));
      });
    });
  }

  // A job that answers nothing.
  void push(std::function<void()> job);
  // Blocks until all jobs are done.
  void finish();

 private:
  void answer(std::function<void()> fn);
  void work();

  Loop& loop_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<std::function<void()>> jobs_;                      // guarded by mutex_
  bool ending_ = false, busy_ = false;                          // guarded by mutex_
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // touched on the loop thread alone
  std::weak_ptr<bool> alive_weak_ = alive_;
  std::thread thread_;
};

}  // namespace knarr::base
