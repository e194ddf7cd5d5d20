#include "net/turn.h"

#include <csignal>

#include "knarr/check.h"

namespace knarr::net {

// A check handle runs after the loop polled, which is where most writes come from. Writes from
// timers come before the poll: the idle handle makes that poll return at once.
struct TurnQueue::Handles {
  uv_check_t check;
  uv_idle_t idle;
  TurnQueue* queue = nullptr;  // null when it is gone
  int open = 2;

  static void closed(uv_handle_t* handle) {
    auto* self = static_cast<Handles*>(handle->data);
    if (--self->open == 0) delete self;
  }
};

TurnQueue::TurnQueue(uv_loop_t* loop) : loop_(loop), handles_(new Handles) {
  // libuv writes with write(2): a peer that left must be EPIPE, not the end of the process.
  static const auto ignored = signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  handles_->queue = this;
  CHECK(uv_check_init(loop, &handles_->check) == 0);
  CHECK(uv_idle_init(loop, &handles_->idle) == 0);
  handles_->check.data = handles_->idle.data = handles_;
}

TurnQueue::~TurnQueue() {
  handles_->queue = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handles_->check), Handles::closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles_->idle), Handles::closed);
}

void TurnQueue::add(std::shared_ptr<TurnTask> task) {
  if (task->queued_) return;
  task->queued_ = true;
  if (tasks_.empty()) {
    uv_check_start(&handles_->check, [](uv_check_t* check) {
      auto* handles = static_cast<Handles*>(check->data);
      if (handles->queue != nullptr) handles->queue->run();
    });
    uv_idle_start(&handles_->idle, [](uv_idle_t*) {});
  }
  tasks_.push_back(std::move(task));
}

void TurnQueue::run() {
  // A task may hold the last reference to this queue.
  Handles* handles = handles_;
  while (!tasks_.empty()) {
    std::vector<std::shared_ptr<TurnTask>> batch;
    batch.swap(tasks_);
    for (std::shared_ptr<TurnTask>& task : batch) {
      task->queued_ = false;
      task->end_of_turn();
      task.reset();
      if (handles->queue == nullptr) return;
    }
  }
  uv_check_stop(&handles_->check);
  uv_idle_stop(&handles_->idle);
}

}  // namespace knarr::net
