#include "store/lease_table.h"

#include <vector>

#include "store/request_check.h"

namespace knarr::kv {

LeaseTable::LeaseTable(Clock& clock, std::function<void(int64_t lease)> expire)
    : clock_(clock), expire_(std::move(expire)), timer_(clock.timer([this] { fire(); })) {}

void LeaseTable::add(int64_t lease, int64_t ttl_ms) {
  Lease& entry = leases_[lease];
  entry.ttl_ms = ttl_ms;
  set_due(lease, entry, ttl_ms);
}

void LeaseTable::remove(int64_t lease) {
  auto it = leases_.find(lease);
  if (it == leases_.end()) return;
  due_.erase({it->second.due_ms, lease});
  leases_.erase(it);
  arm();
}

void LeaseTable::retry(int64_t lease, int64_t delay_ms) {
  if (auto it = leases_.find(lease); it != leases_.end()) set_due(lease, it->second, delay_ms);
}

Result<void> LeaseTable::keep_alive(int64_t lease) {
  auto it = leases_.find(lease);
  if (it == leases_.end() || !due_.contains({it->second.due_ms, lease})) {
    return lease_not_found(lease);
  }
  set_due(lease, it->second, it->second.ttl_ms);
  return {};
}

void LeaseTable::set_due(int64_t id, Lease& lease, int64_t delay_ms) {
  due_.erase({lease.due_ms, id});
  lease.due_ms = clock_.monotonic_ms() + delay_ms;
  due_.insert({lease.due_ms, id});
  arm();
}

void LeaseTable::arm() {
  if (due_.empty()) {
    timer_->stop();
    return;
  }
  int64_t delay_ms = due_.begin()->first - clock_.monotonic_ms();
  timer_->start(delay_ms > 0 ? delay_ms : 0);
}

void LeaseTable::fire() {
  int64_t now_ms = clock_.monotonic_ms();
  std::vector<int64_t> expired;
  while (!due_.empty() && due_.begin()->first <= now_ms) {
    expired.push_back(due_.begin()->second);
    due_.erase(due_.begin());
  }
  arm();
  for (int64_t lease : expired) expire_(lease);
}

}  // namespace knarr::kv
