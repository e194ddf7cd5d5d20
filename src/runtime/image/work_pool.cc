#include "runtime/image/work_pool.h"

#include <thread>

namespace knarr::runtime {

WorkPool::WorkPool(base::Loop& loop, int max_threads) : loop_(loop), max_threads_(max_threads) {}

WorkPool::~WorkPool() {
  *alive_ = false;
  std::deque<std::function<void()>> dropped;
  std::unique_lock lock(mutex_);
  stopping_ = true;
  dropped.swap(queue_);
  idle_.wait(lock, [this] { return threads_ == 0; });
}

void WorkPool::submit(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(work));
  if (threads_ == max_threads_) return;
  ++threads_;
  std::thread([this] { thread_main(); }).detach();
}

void WorkPool::thread_main() {
  std::unique_lock lock(mutex_);
  while (!queue_.empty()) {
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
  --threads_;
  idle_.notify_all();  // under the lock: the pool may be gone right after
}

void WorkPool::post(std::function<void()> fn) {
  loop_.post([alive = alive_, fn = std::move(fn)] {
    if (*alive) fn();
  });
}

}  // namespace knarr::runtime
