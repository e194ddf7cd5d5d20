// Ends blocking work from another thread: a flag, a wait that it interrupts, and hooks that unblock
// whoever sits in a system call. Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

namespace knarr::runtime {

class CancelToken {
 public:
  void cancel() {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    for (auto& [id, hook] : hooks_) hook();
    wake_.notify_all();
  }
  bool cancelled() const { return cancelled_; }

  // True when cancelled meanwhile.
  bool wait_ms(int64_t ms) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return cancelled(); });
  }

  // The hook runs on the cancelling thread, at most until it is removed.
  int add_hook(std::function<void()> hook) {
    std::lock_guard lock(mutex_);
    if (cancelled_) hook();
    hooks_[++last_] = std::move(hook);
    return last_;
  }
  void remove_hook(int id) {
    std::lock_guard lock(mutex_);
    hooks_.erase(id);
  }

 private:
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<int, std::function<void()>> hooks_;  // guarded by mutex_
  int last_ = 0;
};

}  // namespace knarr::runtime
