// Threads for work that blocks: downloads, unpacking, fsync. They are started when there is work
// and end when there is none, so that an idle node has none of them.
//
// Work gets no reference to loop-owned state; its result is posted back to the loop, and dropped
// when the pool is gone by then. The destructor waits for the work that is running.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "base/loop.h"
#include "knarr/result.h"

namespace knarr::runtime {

class WorkPool {
 public:
  WorkPool(base::Loop& loop, int max_threads);
  ~WorkPool();  // on the loop thread; work that has not begun is dropped
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // From any thread.
  void submit(std::function<void()> work);

  // Runs work on a thread of the pool, then done with its result on the loop thread.
  template <typename T>
  void run(std::function<Result<T>()> work, std::function<void(Result<T>)> done) {
    auto state = std::make_shared<std::function<void(Result<T>)>>(std::move(done));
    submit([this, work = std::move(work), state = std::move(state)]() mutable {
      auto result = std::make_shared<Result<T>>(work());
      post(
          [result = std::move(result), state = std::move(state)] { (*state)(std::move(*result)); });
    });
  }

  // From a pool thread: fn on the loop thread, unless the pool is gone by then.
  void post(std::function<void()> fn);

 private:
  void thread_main();

  base::Loop& loop_;
  const int max_threads_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // read on the loop thread only
  std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<std::function<void()>> queue_;  // these four guarded by mutex_
  int threads_ = 0;
  bool stopping_ = false;
};

}  // namespace knarr::runtime
