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
    waiting(e).erase({e.backoff_until_ms, e.pod->uid()});
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
  waiting(e).insert({e.backoff_until_ms, e.pod->uid()});
  arm();
  if (!e.error) ready_();
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
  if (!has_next()) return nullptr;
  Entry& e = entries_.at(order_.empty() ? backoff_.begin()->second : order_.begin()->uid);
  take_out(e);
  e.place = Place::kInFlight;
  e.error = false;
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

void SchedulingQueue::retry(const std::string& uid, unsigned wakes_on) {
  auto it = entries_.find(uid);
  if (it == entries_.end() || it->second.place != Place::kInFlight) return;
  Entry& e = it->second;
  e.wakes_on = wakes_on;
  e.error = (e.seen & wakes_on) == 0;
  // Upstream looks at these once a second, and only at those whose second is over.
  if (e.error) e.backoff_until_ms = (e.backoff_until_ms / 1000 + 2) * 1000;
  back_off(e);
}

void SchedulingQueue::on_change(unsigned change) {
  std::vector<std::string> woken;
  for (auto& [uid, e] : entries_) {
    if (e.place == Place::kInFlight) e.seen |= change;
    bool waits = e.place == Place::kUnschedulable || (e.place == Place::kBackoff && e.error);
    if (waits && (e.wakes_on & change) != 0) woken.push_back(uid);
  }
  std::sort(woken.begin(), woken.end());
  for (const std::string& uid : woken) {
    Entry& e = entries_.at(uid);
    take_out(e);
    e.error = false;
    back_off(e);
  }
}

void SchedulingQueue::tick() {
  int64_t now = clock_.monotonic_ms();
  for (Waiting* waiting : {&backoff_, &errors_}) {
    while (!waiting->empty() && waiting->begin()->first <= now) {
      std::string uid = waiting->begin()->second;
      waiting->erase(waiting->begin());
      activate(entries_.at(uid));
    }
  }
  arm();
}

void SchedulingQueue::arm() {
  int64_t due = INT64_MAX;
  for (const Waiting* waiting : {&backoff_, &errors_}) {
    if (!waiting->empty()) due = std::min(due, waiting->begin()->first);
  }
  if (due == INT64_MAX) return timer_->stop();
  timer_->start(std::max<int64_t>(0, due - clock_.monotonic_ms()));
}

}  // namespace knarr::server
