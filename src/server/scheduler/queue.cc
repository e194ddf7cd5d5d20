#include "server/scheduler/queue.h"

#include <algorithm>
#include <vector>

namespace knarr::server {

namespace {
constexpr int64_t kFirstBackoffMs = 1000;
constexpr int64_t kLastBackoffMs = 10000;
}  // namespace

SchedulingQueue::SchedulingQueue(Clock& clock, std::function<void()> ready)
    : clock_(clock), ready_(std::move(ready)), timer_(clock.timer([this] { tick(); })) {}

void SchedulingQueue::take_out(Entry& e) {
  if (e.place == Place::kActive) order_.erase(rank(e));
  if (e.place == Place::kBackoff) {
    backoff_.erase({e.backoff_until_ms, e.pod->uid()});
    arm();
  }
}

void SchedulingQueue::activate(Entry& e) {
  e.place = Place::kActive;
  order_.insert(rank(e));
  ready_();
}

void SchedulingQueue::back_off(Entry& e) {
  if (e.backoff_until_ms <= clock_.monotonic_ms()) return activate(e);
  e.place = Place::kBackoff;
  backoff_.insert({e.backoff_until_ms, e.pod->uid()});
  arm();
}

void SchedulingQueue::add(PodInfoRef pod) {
  std::string uid = pod->uid();
  auto [it, inserted] = entries_.try_emplace(uid);
  Entry& e = it->second;
  if (inserted) {
    e.sequence = next_sequence_++;
    e.pod = std::move(pod);
    return activate(e);
  }
  if (e.place == Place::kInFlight) {
    e.pod = std::move(pod);
    e.seen = ~0U;
    return;
  }
  bool waited = e.place == Place::kUnschedulable;
  take_out(e);
  e.pod = std::move(pod);
  if (waited || e.place == Place::kBackoff) return back_off(e);
  activate(e);
}

void SchedulingQueue::update(PodInfoRef pod) {
  auto it = entries_.find(pod->uid());
  if (it == entries_.end()) return;
  Entry& e = it->second;
  if (e.place == Place::kActive) order_.erase(rank(e));
  e.pod = std::move(pod);
  if (e.place == Place::kActive) order_.insert(rank(e));
}

void SchedulingQueue::remove(const std::string& uid) {
  auto it = entries_.find(uid);
  if (it == entries_.end()) return;
  take_out(it->second);
  entries_.erase(it);
}

PodInfoRef SchedulingQueue::pop() {
  if (order_.empty()) return nullptr;
  Entry& e = entries_.at(order_.begin()->uid);
  order_.erase(order_.begin());
  e.place = Place::kInFlight;
  e.seen = 0;
  ++e.attempts;
  int64_t wait = e.attempts > 4 ? kLastBackoffMs : kFirstBackoffMs << (e.attempts - 1);
  e.backoff_until_ms = clock_.monotonic_ms() + std::min(wait, kLastBackoffMs);
  return e.pod;
}

void SchedulingQueue::unschedulable(const std::string& uid, unsigned wakes_on) {
  auto it = entries_.find(uid);
  if (it == entries_.end() || it->second.place != Place::kInFlight) return;
  Entry& e = it->second;
  e.wakes_on = wakes_on;
  if ((e.seen & wakes_on) != 0) return back_off(e);
  e.place = Place::kUnschedulable;
}

void SchedulingQueue::retry(const std::string& uid) {
  auto it = entries_.find(uid);
  if (it != entries_.end() && it->second.place == Place::kInFlight) back_off(it->second);
}

void SchedulingQueue::on_change(unsigned change) {
  std::vector<std::string> woken;
  for (auto& [uid, e] : entries_) {
    if (e.place == Place::kInFlight) e.seen |= change;
    if (e.place == Place::kUnschedulable && (e.wakes_on & change) != 0) woken.push_back(uid);
  }
  std::sort(woken.begin(), woken.end());
  for (const std::string& uid : woken) back_off(entries_.at(uid));
}

void SchedulingQueue::tick() {
  int64_t now = clock_.monotonic_ms();
  while (!backoff_.empty() && backoff_.begin()->first <= now) {
    std::string uid = backoff_.begin()->second;
    backoff_.erase(backoff_.begin());
    activate(entries_.at(uid));
  }
  arm();
}

void SchedulingQueue::arm() {
  if (backoff_.empty()) return timer_->stop();
  timer_->start(std::max<int64_t>(0, backoff_.begin()->first - clock_.monotonic_ms()));
}

}  // namespace knarr::server
