#include "store/sqlite/sqlite_store.h"

#include <utility>

#include "store/lease_table.h"
#include "store/request_check.h"
#include "store/sqlite/commit_thread.h"
#include "store/watch_set.h"

namespace knarr::kv {

namespace {

constexpr int64_t kRevokeRetryMs = 5000;

class SqliteStore final : public Store {
 public:
  SqliteStore(base::Loop& loop, Options options, std::unique_ptr<Engine> engine,
              const std::vector<LeaseRow>& leases)
      : options_(std::move(options)),
        revision_(engine->revision()),
        compacted_(engine->compacted()),
        leases_(loop, [this](int64_t lease) { expire(lease); }),
        thread_(loop, std::move(engine)) {
    for (const LeaseRow& row : leases) leases_.add(row.lease, row.ttl_ms);
  }

  Revision revision() const override { return revision_; }
  Revision compacted() const override { return compacted_; }
  void range(Range range, Callback<RangeResult> done) override;
  void txn(Txn txn, Callback<TxnResult> done) override;
  std::unique_ptr<Watch> watch(std::string begin, std::string end, Revision from,
                               Watcher& watcher) override;
  void compact(Revision revision, Callback<Revision> done) override;
  void lease_grant(int64_t ttl_ms, Callback<int64_t> done) override;
  Result<void> lease_keep_alive(int64_t lease) override { return leases_.keep_alive(lease); }
  void lease_revoke(int64_t lease, Callback<Revision> done) override;
  void backup(std::string path, Callback<Revision> done) override {
    thread_.backup(std::move(path), std::move(done));
  }

 private:
  void publish(const Outcome& outcome);
  void expire(int64_t lease);

  Options options_;
  Revision revision_;
  Revision compacted_;
  WatchSet watches_;
  LeaseTable leases_;
  CommitThread thread_;  // last: its completions use all of the above
};

void SqliteStore::range(Range range, Callback<RangeResult> done) {
  thread_.run([range = std::move(range), done = std::move(done)](Engine& engine) {
    auto result = std::make_shared<Result<RangeResult>>(engine.range(range));
    return [done, result] { done(std::move(*result)); };
  });
}

void SqliteStore::txn(Txn txn, Callback<TxnResult> done) {
  if (Result<void> checked = check_txn(txn, options_); !checked.ok()) {
    // Answered in its turn, like all else.
    thread_.run([error = checked.error(), done = std::move(done)](Engine&) {
      return [error, done] { done(error); };
    });
    return;
  }
  Write write;
  write.txn = std::move(txn);
  thread_.write(std::move(write), [this, done = std::move(done)](Outcome outcome) {
    publish(outcome);
    done(std::move(outcome.result));
  });
}

void SqliteStore::publish(const Outcome& outcome) {
  if (outcome.events.empty()) return;
  Revision revision = outcome.result->revision;
  CHECK(revision > revision_);
  revision_ = revision;
  watches_.dispatch(revision, outcome.events);
}

std::unique_ptr<Watch> SqliteStore::watch(std::string begin, std::string end, Revision from,
                                          Watcher& watcher) {
  bool live = from == 0 || from > revision_;
  auto entry = watches_.add(std::move(begin), std::move(end), from, watcher, live);
  if (!live) {
    thread_.run([entry, begin = entry->begin, end = entry->end, from](Engine& engine) {
      auto events = std::make_shared<Result<std::vector<Event>>>(engine.replay(begin, end, from));
      return [entry, events] {
        if (entry->watcher == nullptr) return;
        if (!events->ok()) {
          std::exchange(entry->watcher, nullptr)->on_error(events->error());
          return;
        }
        entry->live = true;
        tell_by_revision(*entry, std::move(**events));
      };
    });
  }
  return WatchSet::handle(std::move(entry));
}

void SqliteStore::compact(Revision revision, Callback<Revision> done) {
  thread_.run([this, revision, done = std::move(done)](Engine& engine) {
    Result<Revision> result = engine.compact(revision);
    return [this, result, done] {
      if (result.ok()) compacted_ = *result;
      done(result);
    };
  });
}

void SqliteStore::lease_grant(int64_t ttl_ms, Callback<int64_t> done) {
  Write write;
  write.kind = Write::Kind::kGrant;
  write.ttl_ms = ttl_ms;
  thread_.write(std::move(write), [this, ttl_ms, done = std::move(done)](Outcome outcome) {
    if (!outcome.result.ok()) return done(outcome.result.error());
    leases_.add(outcome.lease, ttl_ms);
    done(int64_t{outcome.lease});
  });
}

void SqliteStore::lease_revoke(int64_t lease, Callback<Revision> done) {
  Write write;
  write.kind = Write::Kind::kRevoke;
  write.lease = lease;
  thread_.write(std::move(write), [this, lease, done = std::move(done)](Outcome outcome) {
    if (!outcome.result.ok()) return done(outcome.result.error());
    leases_.remove(lease);
    publish(outcome);
    done(Revision{outcome.result->revision});
  });
}

void SqliteStore::expire(int64_t lease) {
  lease_revoke(lease, [this, lease](Result<Revision> revoked) {
    if (!revoked.ok() && revoked.error().code != Code::kNotFound) {
      leases_.retry(lease, kRevokeRetryMs);
    }
  });
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite(base::Loop& loop, SqliteOptions options) {
  TRY_ASSIGN(std::unique_ptr<Engine> engine, Engine::open(options));
  TRY_ASSIGN(std::vector<LeaseRow> leases, engine->leases());
  return std::unique_ptr<Store>(
      std::make_unique<SqliteStore>(loop, std::move(options.options), std::move(engine), leases));
}

}  // namespace knarr::kv
