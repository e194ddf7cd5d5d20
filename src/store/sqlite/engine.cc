// Batches of writes. See engine.h for the tables.
#include "store/sqlite/engine.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "store/request_check.h"

namespace knarr::kv {

namespace {

// Volatile writes use up revisions without a trace on disk: one durable mark covers this many.
constexpr Revision kReserve = 4096;

}  // namespace

struct Engine::Saved {
  Revision revision;
  Revision reserved;
  std::set<int64_t> leases;
};

Engine::~Engine() { static_cast<void>(close()); }

std::vector<Outcome> Engine::apply(std::span<Write> writes) {
  std::vector<Outcome> outcomes(writes.size());
  Saved saved{revision_, reserved_, leases_};
  volatile_undo_.clear();
  Result<void> applied = apply_all(writes, outcomes);
  if (applied.ok()) applied = commit();
  if (applied.ok()) return outcomes;

  roll_back(std::move(saved));
  if (writes.size() == 1) {
    base::log(base::Level::kError, "store", "write failed, nothing applied: {}",
              applied.error().message);
    outcomes[0] = Outcome{make_error(Code::kServiceUnavailable, applied.error().message), 0, {}};
    return outcomes;
  }
  for (size_t i = 0; i < writes.size(); ++i) {
    outcomes[i] = std::move(apply(writes.subspan(i, 1))[0]);
  }
  return outcomes;
}

// An error is the file's. What is wrong with one write alone is its outcome.
Result<void> Engine::apply_all(std::span<Write> writes, std::vector<Outcome>& outcomes) {
  for (size_t i = 0; i < writes.size(); ++i) {
    Write& write = writes[i];
    switch (write.kind) {
      case Write::Kind::kTxn: TRY(apply_txn(write.txn, outcomes[i])); break;
      case Write::Kind::kGrant: TRY(apply_grant(write.ttl_ms, outcomes[i])); break;
      case Write::Kind::kRevoke: TRY(apply_revoke(write.lease, outcomes[i])); break;
    }
  }
  return {};
}

Result<void> Engine::apply_txn(const Txn& txn, Outcome& outcome) {
  TxnResult result{true, revision_, {}};
  std::vector<Row> rows;
  TRY_ASSIGN(result.succeeded, compares_hold(txn, rows, result));
  if (!result.succeeded) {
    outcome.result = std::move(result);
    return {};
  }
  for (const Op& op : txn.ops) {
    if (op.lease != 0 && !leases_.contains(op.lease)) {
      outcome.result = lease_not_found(op.lease);
      return {};
    }
  }
  for (const Op& op : txn.ops) {
    Row row;
    for (Row& known : rows) {
      if (known.key == op.key) row = std::move(known);
    }
    if (row.key.empty()) {
      TRY_ASSIGN(row, find(op.key));
    }
    if (op.kind == Op::Kind::kPut) {
      TRY(put(op, std::move(row), revision_ + 1, outcome));
    } else {
      TRY(remove(std::move(row), revision_ + 1, outcome));
    }
  }
  if (!outcome.events.empty()) result.revision = ++revision_;
  outcome.result = std::move(result);
  return {};
}

Result<bool> Engine::compares_hold(const Txn& txn, std::vector<Row>& rows, TxnResult& result) {
  bool hold = true;
  for (const Compare& compare : txn.compares) {
    TRY_ASSIGN(Row row, find(compare.key));
    if (row.kv.mod_revision != compare.mod_revision) hold = false;
    rows.push_back(std::move(row));
  }
  if (!hold) {
    for (Row& row : rows) {
      row.kv.key = row.key;
      result.conflicts.push_back(std::move(row.kv));
    }
  }
  return hold;
}

Result<Engine::Row> Engine::find(const std::string& key) {
  if (!is_volatile(key, options_.options)) return find_durable(key);
  Row row{key, 0, {}};
  if (auto it = volatile_.find(key); it != volatile_.end()) row.kv = it->second;
  return row;
}

Result<Engine::Row> Engine::find_durable(const std::string& key) {
  Row row{key, 0, {}};
  ResetLater reset(find_);
  TRY_ASSIGN(bool found, find_.bind(1, key).step());
  if (found) {
    row.id = find_.integer(0);
    row.kv = KeyValue{key, find_.blob(1), find_.integer(2), find_.integer(3), find_.integer(4)};
  }
  return row;
}

Result<void> Engine::put(const Op& op, Row row, Revision revision, Outcome& outcome) {
  Revision created = row.kv.mod_revision == 0 ? revision : row.kv.create_revision;
  Event event{Event::Kind::kPut, {op.key, op.value, created, revision, op.lease}, {}};
  if (is_volatile(op.key, options_.options)) {
    TRY(cover_volatile(revision));
    set_volatile(op.key, event.kv);
  } else {
    TRY(begin());
    TRY(append_log(row, revision, outcome.events.size()));
    if (row.id == 0) {
      TRY(insert_.bind(1, op.key).bind(2, op.value).bind(3, revision).bind(4, op.lease).run());
    } else {
      TRY(update_.bind(1, row.id).bind(2, op.value).bind(3, revision).bind(4, op.lease).run());
    }
  }
  event.previous = std::move(row.kv);
  outcome.events.push_back(std::move(event));
  return {};
}

Result<void> Engine::remove(Row row, Revision revision, Outcome& outcome) {
  if (row.kv.mod_revision == 0) return {};
  if (is_volatile(row.key, options_.options)) {
    TRY(cover_volatile(revision));
    set_volatile(row.key, std::nullopt);
  } else {
    TRY(begin());
    TRY(append_log(row, revision, outcome.events.size()));
    TRY(delete_.bind(1, row.id).run());
  }
  KeyValue gone{row.key, {}, 0, revision, 0};
  outcome.events.push_back({Event::Kind::kDelete, std::move(gone), std::move(row.kv)});
  return {};
}

Result<void> Engine::append_log(const Row& row, Revision revision, size_t place) {
  CHECK(place < size_t{1} << kPlaceBits);
  log_.bind(1, log_id(revision, place)).bind(2, row.key);
  if (row.id == 0) {
    log_.bind_null(3).bind_null(4).bind_null(5).bind_null(6);
  } else {
    const KeyValue& kv = row.kv;
    log_.bind(3, kv.value).bind(4, kv.create_revision).bind(5, kv.mod_revision).bind(6, kv.lease);
  }
  return log_.run();
}

Result<void> Engine::apply_grant(int64_t ttl_ms, Outcome& outcome) {
  TRY(begin());
  TRY(grant_.bind(1, ttl_ms).run());
  outcome.lease = db_.last_insert_id();
  leases_.insert(outcome.lease);
  outcome.result = TxnResult{true, revision_, {}};
  return {};
}

Result<void> Engine::apply_revoke(int64_t lease, Outcome& outcome) {
  if (!leases_.contains(lease)) {
    outcome.result = lease_not_found(lease);
    return {};
  }
  TRY(begin());
  std::vector<std::string> keys;
  {
    ResetLater reset(leased_);
    leased_.bind(1, lease);
    for (;;) {
      TRY_ASSIGN(bool more, leased_.step());
      if (!more) break;
      keys.push_back(leased_.blob(0));
    }
  }
  for (const std::string& key : keys) {
    TRY_ASSIGN(Row row, find_durable(key));
    TRY(remove(std::move(row), revision_ + 1, outcome));
  }
  TRY(revoke_.bind(1, lease).run());
  leases_.erase(lease);
  if (!outcome.events.empty()) ++revision_;
  outcome.result = TxnResult{true, revision_, {}};
  return {};
}

Result<void> Engine::cover_volatile(Revision revision) {
  if (revision <= reserved_) return {};
  TRY(begin());
  TRY(set_meta_.bind(1, std::string_view("reserved")).bind(2, revision + kReserve).run());
  reserved_ = revision + kReserve;
  return {};
}

bool Engine::needs_no_disk(const Write& write) const {
  if (write.kind != Write::Kind::kTxn || revision_ >= reserved_) return false;
  auto in_memory = [this](const auto& part) { return is_volatile(part.key, options_.options); };
  return std::ranges::all_of(write.txn.compares, in_memory) &&
         std::ranges::all_of(write.txn.ops, in_memory);
}

void Engine::set_volatile(const std::string& key, std::optional<KeyValue> kv) {
  auto it = volatile_.find(key);
  volatile_undo_.emplace_back(
      key, it == volatile_.end() ? std::nullopt : std::optional<KeyValue>(std::move(it->second)));
  if (kv) {
    volatile_[key] = std::move(*kv);
  } else if (it != volatile_.end()) {
    volatile_.erase(it);
  }
}

Result<void> Engine::begin() { return db_.in_transaction() ? Result<void>() : begin_.run(); }

Result<void> Engine::commit() { return db_.in_transaction() ? commit_.run() : Result<void>(); }

void Engine::roll_back(Saved saved) {
  // SQLite has rolled back by itself after some errors (disk full, I/O).
  if (db_.in_transaction()) CHECK(db_.run("ROLLBACK").ok());
  revision_ = saved.revision;
  reserved_ = saved.reserved;
  leases_ = std::move(saved.leases);
  for (auto it = volatile_undo_.rbegin(); it != volatile_undo_.rend(); ++it) {
    if (it->second) {
      volatile_[it->first] = std::move(*it->second);
    } else {
      volatile_.erase(it->first);
    }
  }
  volatile_undo_.clear();
}

}  // namespace knarr::kv
