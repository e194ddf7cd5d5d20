#include "runtime/image/work_pool.h"

#include <chrono>
#include <thread>

namespace knarr::runtime {

WorkPool::WorkPool(base::Loop& loop, int max_threads, int64_t patience_ms)
    : max_threads_(max_threads),
      patience_ms_(patience_ms),
      shared_(std::make_shared<Shared>(loop)) {}

WorkPool::~WorkPool() {
  *shared_->alive = false;
  std::deque<std::function<void()>> dropped;
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  dropped.swap(shared_->queue);
  auto over = [this] { return shared_->threads == 0; };
  if (patience_ms_ == kForever) {
    shared_->idle.wait(lock, over);
  } else {
    shared_->idle.wait_for(lock, std::chrono::milliseconds(patience_ms_), over);
  }
  shared_->loop = nullptr;
}

void WorkPool::submit(std::function<void()> work) {
  std::lock_guard lock(shared_->mutex);
  if (shared_->stopping) return;
  shared_->queue.push_back(std::move(work));
  if (shared_->threads == max_threads_) return;
  ++shared_->threads;
  std::thread([shared = shared_] { thread_main(shared); }).detach();
}

void WorkPool::thread_main(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  while (!shared->queue.empty()) {
    std::function<void()> work = std::move(shared->queue.front());
    shared->queue.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
  --shared->threads;
  shared->idle.notify_all();
}

void WorkPool::Shared::post(std::function<void()> fn) {
  std::lock_guard lock(mutex);
  if (loop == nullptr) return;
  loop->post([alive = alive, fn = std::move(fn)] {
    if (*alive) fn();
  });
}

}  // namespace knarr::runtime
