// Threads for work that blocks: downloads, unpacking, fsync. They are started when there is work
// and end when there is none, so that an idle node has none of them.
//
// Work gets no reference to loop-owned state; its result is posted back to the loop, and dropped
// when the pool is gone by then. The destructor waits for the work that is running; a pool whose
// work refers to nothing but what it owns may be told to leave behind what hangs, as a disk that
// is dead never answers. All that is shared with threads then goes with the last of them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "base/loop.h"
#include "knarr/result.h"

namespace knarr::runtime {

class WorkPool {
 public:
  static constexpr int64_t kForever = -1;

  // `patience_ms`: how long the destructor waits.
  WorkPool(base::Loop& loop, int max_threads, int64_t patience_ms = kForever);
  ~WorkPool();  // on the loop thread; work that has not begun is dropped
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // From any thread.
  void submit(std::function<void()> work);

  // On the loop thread: runs work on a thread of the pool, then done with its result here.
  template <typename T>
  void run(std::function<Result<T>()> work, std::function<void(Result<T>)> done) {
    auto waiting = std::make_shared<std::function<void(Result<T>)>>(std::move(done));
    waiting_.insert(waiting);
    submit([this, shared = shared_, work = std::move(work), weak = std::weak_ptr(waiting)] {
      auto result = std::make_shared<Result<T>>(work());
      // The pool may be gone by now, but is not when that runs.
      shared->post([this, weak, result = std::move(result)] {
        auto done = weak.lock();
        waiting_.erase(done);
        (*done)(std::move(*result));
      });
    });
  }

 private:
  struct Shared {
    explicit Shared(base::Loop& loop) : loop(&loop) {}
    // From a pool thread: fn on the loop thread, unless the pool is gone by then.
    void post(std::function<void()> fn);

    std::shared_ptr<bool> alive = std::make_shared<bool>(true);  // read on the loop thread only
    std::mutex mutex;
    std::condition_variable idle;
    base::Loop* loop;  // these four guarded by mutex; null when the pool is gone
    std::deque<std::function<void()>> queue;
    int threads = 0;
    bool stopping = false;
  };
  static void thread_main(const std::shared_ptr<Shared>& shared);

  const int max_threads_;
  const int64_t patience_ms_;
  std::shared_ptr<Shared> shared_;
  std::set<std::shared_ptr<void>> waiting_;  // what is to be told; loop thread
};

}  // namespace knarr::runtime
