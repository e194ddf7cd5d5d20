// A store in memory: for unit tests and the simulation. Deterministic: work is done one piece after
// the other, each in its own turn of the clock, so a seed and a Clock give the same run. Faults and
// delays are injected by a plan that is asked once for each piece of work.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "knarr/clock.h"
#include "knarr/kv_store.h"
#include "store/lease_table.h"
#include "store/watch_set.h"

namespace knarr::kv {

// What happens to the next piece of work.
struct Fate {
  int64_t delay_ms = 0;
  bool fail = false;  // kServiceUnavailable, and nothing of it is done
};

class MemoryStore final : public Store {
 public:
  MemoryStore(Clock& clock, Options options, std::function<Fate()> plan = nullptr);
  ~MemoryStore() override;

  Revision revision() const override { return revision_; }
  void range(Range range, Callback<RangeResult> done) override;
  void txn(Txn txn, Callback<TxnResult> done) override;
  std::unique_ptr<Watch> watch(std::string begin, std::string end, Revision from,
                               Watcher& watcher) override;
  void compact(Revision revision, Callback<Revision> done) override;
  Revision compacted() const override { return compacted_; }
  void lease_grant(int64_t ttl_ms, Callback<int64_t> done) override;
  Result<void> lease_keep_alive(int64_t lease) override { return leases_.keep_alive(lease); }
  void lease_revoke(int64_t lease, Callback<Revision> done) override;
  void backup(std::string path, Callback<Revision> done) override;  // not supported: kBadRequest

  // As a crash and a new start of the server does: watches end silently, volatile keys vanish,
  // what is queued is lost, the revision jumps.
  void restart();

 private:
  struct Logged {
    Revision revision;
    std::vector<Event> events;
  };
  using State = std::map<std::string, KeyValue>;

  // Queues work; `run` is told whether fate fails it.
  void enqueue(std::function<void(bool fail)> run);
  void schedule();
  void run_next();

  Result<TxnResult> apply(const Txn& txn, std::vector<Event>& events);
  Result<RangeResult> read(const Range& range) const;
  State state_at(const Range& range) const;
  void put(const Op& op, Revision revision, std::vector<Event>& events);
  void remove(const std::string& key, Revision revision, std::vector<Event>& events);
  void publish(Revision revision, std::vector<Event> events);
  void expire(int64_t lease);
  Revision revoke(int64_t lease);
  void replay(WatchSet::Entry& entry);

  Clock& clock_;
  Options options_;
  std::function<Fate()> plan_;
  State current_;
  std::deque<Logged> log_;
  Revision revision_ = 1;
  Revision compacted_ = 0;
  std::set<int64_t> lease_ids_;
  int64_t next_lease_ = 1;
  LeaseTable leases_;
  WatchSet watches_;

  std::deque<std::function<void(bool)>> queue_;
  bool scheduled_ = false;
  bool next_fails_ = false;
  std::unique_ptr<Timer> delay_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::kv
