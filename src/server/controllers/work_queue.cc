#include "server/controllers/work_queue.h"

#include <algorithm>

#include "knarr/check.h"

namespace knarr::server {

namespace {
constexpr int64_t kFirstBackoffMs = 5;
constexpr int64_t kLastBackoffMs = 1000 * 1000;
constexpr int kKeysPerTurn = 32;  // so that a long queue does not hold up the loop
}  // namespace

WorkQueue::WorkQueue(Clock& clock, size_t concurrency, Process process)
    : clock_(clock),
      concurrency_(concurrency),
      process_(std::move(process)),
      due_timer_(clock.timer([this] { tick(); })),
      pump_timer_(clock.timer([this] { pump(); })) {}

int64_t WorkQueue::backoff_ms(int failures) {
  return failures >= 18 ? kLastBackoffMs : std::min(kLastBackoffMs, kFirstBackoffMs << failures);
}

void WorkQueue::add(const NamespacedName& key) {
  if (busy_.count(key) != 0) {
    dirty_.insert(key);
    return;
  }
  if (!queued_.insert(key).second) return;
  ready_.push_back(key);
  schedule_pump();
}

void WorkQueue::add_after(const NamespacedName& key, int64_t delay_ms) {
  if (delay_ms <= 0) return add(key);
  int64_t at = clock_.monotonic_ms() + delay_ms;
  auto [it, inserted] = due_.emplace(key, at);
  if (!inserted) {
    if (it->second <= at) return;
    due_order_.erase({it->second, key});
    it->second = at;
  }
  due_order_.emplace(at, key);
  arm();
}

void WorkQueue::add_rate_limited(const NamespacedName& key) {
  int failures = failures_[key]++;
  add_after(key, backoff_ms(failures));
}

void WorkQueue::forget(const NamespacedName& key) { failures_.erase(key); }

int WorkQueue::failures(const NamespacedName& key) const {
  auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

void WorkQueue::done(const NamespacedName& key) {
  CHECK(busy_.erase(key) == 1);
  if (dirty_.erase(key) != 0) add(key);
  if (!ready_.empty()) schedule_pump();
}

void WorkQueue::schedule_pump() {
  if (!pump_timer_->active()) pump_timer_->start(0);
}

void WorkQueue::pump() {
  for (int i = 0; i < kKeysPerTurn && !ready_.empty() && busy_.size() < concurrency_; ++i) {
    NamespacedName key = std::move(ready_.front());
    ready_.pop_front();
    queued_.erase(key);
    busy_.insert(key);
    process_(key);
  }
  if (!ready_.empty() && busy_.size() < concurrency_) schedule_pump();
}

void WorkQueue::tick() {
  int64_t now = clock_.monotonic_ms();
  while (!due_order_.empty() && due_order_.begin()->first <= now) {
    NamespacedName key = due_order_.begin()->second;
    due_order_.erase(due_order_.begin());
    due_.erase(key);
    add(key);
  }
  arm();
}

void WorkQueue::arm() {
  if (due_order_.empty()) return due_timer_->stop();
  due_timer_->start(std::max<int64_t>(0, due_order_.begin()->first - clock_.monotonic_ms()));
}

}  // namespace knarr::server
