// Leases of a store, for every backend: who is due when. One timer, armed for the earliest due
// lease. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "knarr/clock.h"
#include "knarr/result.h"

namespace knarr::kv {

class LeaseTable {
 public:
  // `expire` is called once for a due lease; the lease stays in the table until remove(), or until
  // retry() puts it off because it could not be revoked.
  LeaseTable(Clock& clock, std::function<void(int64_t lease)> expire);

  void add(int64_t lease, int64_t ttl_ms);
  void remove(int64_t lease);
  void retry(int64_t lease, int64_t delay_ms);
  Result<void> keep_alive(int64_t lease);

 private:
  struct Lease {
    int64_t ttl_ms;
    int64_t due_ms;
  };
  void set_due(int64_t id, Lease& lease, int64_t delay_ms);
  void arm();
  void fire();

  Clock& clock_;
  std::function<void(int64_t)> expire_;
  std::map<int64_t, Lease> leases_;
  std::set<std::pair<int64_t, int64_t>> due_;  // (due_ms, lease)
  std::unique_ptr<Timer> timer_;
};

}  // namespace knarr::kv
