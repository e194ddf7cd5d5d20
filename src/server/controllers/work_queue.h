// The queue of a controller: which keys want to be looked at, when, and which are being looked at.
//
// Invariants: a key is queued at most once; a key is never processed twice at a time (what is added
// while it is busy waits for its end); failures of a key wait 5 ms, 10 ms, ... up to 1000 s as
// client-go's rate limiter has it; one timer, armed for the earliest due key only, so an idle queue
// costs nothing. There is no overall rate limit: upstream's guards a remote API server, ours is in
// this process and bounds what runs by `concurrency`.
//
// Loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "knarr/clock.h"
#include "knarr/object_key.h"

namespace knarr::server {

class WorkQueue {
 public:
  // `process` must lead to exactly one done(key), now or later.
  using Process = std::function<void(const NamespacedName& key)>;
  WorkQueue(Clock& clock, size_t concurrency, Process process);

  void add(const NamespacedName& key);
  void add_after(const NamespacedName& key, int64_t delay_ms);  // the earliest of several wins
  void add_rate_limited(const NamespacedName& key);             // after this key's backoff
  void forget(const NamespacedName& key);                       // resets its backoff
  void done(const NamespacedName& key);

  int failures(const NamespacedName& key) const;
  bool idle() const { return ready_.empty() && busy_.empty(); }
  size_t waiting() const { return due_.size(); }

  static int64_t backoff_ms(int failures);  // of the failure after `failures` others

 private:
  void pump();
  void schedule_pump();
  void tick();
  void arm();

  Clock& clock_;
  size_t concurrency_;
  Process process_;
  std::deque<NamespacedName> ready_;
  std::unordered_set<NamespacedName> queued_;  // what ready_ holds
  std::unordered_set<NamespacedName> busy_;
  std::unordered_set<NamespacedName> dirty_;  // added while busy
  std::unordered_map<NamespacedName, int64_t> due_;
  std::set<std::pair<int64_t, NamespacedName>> due_order_;
  std::unordered_map<NamespacedName, int> failures_;
  std::unique_ptr<Timer> due_timer_;
  std::unique_ptr<Timer> pump_timer_;  // delay 0: the next turn of the loop
};

}  // namespace knarr::server
