#include "store/memory/memory_store.h"

#include <utility>

#include "store/request_check.h"

namespace knarr::kv {

namespace {

Error injected() { return make_error(Code::kServiceUnavailable, "store: injected fault"); }

constexpr int64_t kRevokeRetryMs = 5000;

}  // namespace

MemoryStore::MemoryStore(Clock& clock, Options options, std::function<Fate()> plan)
    : clock_(clock),
      options_(std::move(options)),
      plan_(std::move(plan)),
      leases_(clock, [this](int64_t lease) { expire(lease); }),
      delay_(clock.timer([this] { run_next(); })) {}

MemoryStore::~MemoryStore() { *alive_ = false; }

void MemoryStore::enqueue(std::function<void(bool fail)> run) {
  queue_.push_back(std::move(run));
  schedule();
}

void MemoryStore::schedule() {
  if (scheduled_ || queue_.empty()) return;
  scheduled_ = true;
  Fate fate = plan_ ? plan_() : Fate{};
  next_fails_ = fate.fail;
  if (fate.delay_ms > 0) {
    delay_->start(fate.delay_ms);
    return;
  }
  clock_.defer([this, alive = alive_] {
    if (*alive && scheduled_) run_next();
  });
}

void MemoryStore::run_next() {
  std::function<void(bool)> run = std::move(queue_.front());
  queue_.pop_front();
  std::shared_ptr<bool> alive = alive_;
  run(next_fails_);
  if (!*alive) return;
  scheduled_ = false;
  schedule();
}

void MemoryStore::range(Range range, Callback<RangeResult> done) {
  enqueue([this, range = std::move(range), done = std::move(done)](bool fail) {
    if (fail) return done(injected());
    done(read(range));
  });
}

// The keys of the range as they were: the current ones, rolled back through the log.
MemoryStore::State MemoryStore::state_at(const Range& range) const {
  State state;
  for (const auto& [key, kv] : current_) {
    if (!in_range(key, range.begin, range.end)) continue;
    if (range.revision > 0 && is_volatile(key, options_)) continue;
    state.emplace(key, kv);
  }
  if (range.revision == 0) return state;
  for (auto it = log_.rbegin(); it != log_.rend() && it->revision > range.revision; ++it) {
    for (const Event& event : it->events) {
      if (!in_range(event.kv.key, range.begin, range.end)) continue;
      if (event.previous.key.empty()) {
        state.erase(event.kv.key);
      } else {
        state[event.kv.key] = event.previous;
      }
    }
  }
  return state;
}

Result<RangeResult> MemoryStore::read(const Range& range) const {
  if (range.revision > revision_) return future_error(range.revision, revision_);
  if (range.revision > 0 && range.revision < compacted_) {
    return compacted_error(range.revision, compacted_);
  }
  return take_range(state_at(range), range, revision_);
}

void MemoryStore::txn(Txn txn, Callback<TxnResult> done) {
  enqueue([this, txn = std::move(txn), done = std::move(done)](bool fail) {
    if (Result<void> checked = check_txn(txn, options_); !checked.ok()) {
      return done(checked.error());
    }
    if (fail) return done(injected());
    std::vector<Event> events;
    Result<TxnResult> result = apply(txn, events);
    if (!events.empty()) publish(result->revision, std::move(events));
    done(std::move(result));
  });
}

Result<TxnResult> MemoryStore::apply(const Txn& txn, std::vector<Event>& events) {
  TxnResult result{true, revision_, {}};
  for (const Compare& compare : txn.compares) {
    auto it = current_.find(compare.key);
    Revision now = it == current_.end() ? 0 : it->second.mod_revision;
    if (now != compare.mod_revision) result.succeeded = false;
    result.conflicts.push_back(it == current_.end() ? KeyValue{compare.key, {}, 0, 0, 0}
                                                    : it->second);
  }
  if (!result.succeeded) return result;
  result.conflicts.clear();
  for (const Op& op : txn.ops) {
    if (op.lease != 0 && !lease_ids_.contains(op.lease)) return lease_not_found(op.lease);
  }
  for (const Op& op : txn.ops) {
    if (op.kind == Op::Kind::kPut) {
      put(op, revision_ + 1, events);
    } else {
      remove(op.key, revision_ + 1, events);
    }
  }
  if (!events.empty()) result.revision = revision_ + 1;
  return result;
}

void MemoryStore::put(const Op& op, Revision revision, std::vector<Event>& events) {
  KeyValue& kv = current_[op.key];
  Event event{Event::Kind::kPut, {}, kv};
  Revision created = kv.create_revision == 0 ? revision : kv.create_revision;
  kv = KeyValue{op.key, op.value, created, revision, op.lease};
  event.kv = kv;
  events.push_back(std::move(event));
}

void MemoryStore::remove(const std::string& key, Revision revision, std::vector<Event>& events) {
  auto it = current_.find(key);
  if (it == current_.end()) return;
  Event event{Event::Kind::kDelete, {}, std::move(it->second)};
  event.kv.key = key;
  event.kv.mod_revision = revision;
  current_.erase(it);
  events.push_back(std::move(event));
}

void MemoryStore::publish(Revision revision, std::vector<Event> events) {
  CHECK(revision == revision_ + 1);
  revision_ = revision;
  watches_.dispatch(revision, events);
  std::erase_if(events, [this](const Event& e) { return is_volatile(e.kv.key, options_); });
  if (!events.empty()) log_.push_back({revision, std::move(events)});
}

std::unique_ptr<Watch> MemoryStore::watch(std::string begin, std::string end, Revision from,
                                          Watcher& watcher) {
  bool live = from == 0 || from > revision_;
  auto entry = watches_.add(std::move(begin), std::move(end), from, watcher, live);
  if (!live) {
    enqueue([this, entry](bool) { replay(*entry); });
  }
  return WatchSet::handle(std::move(entry));
}

void MemoryStore::replay(WatchSet::Entry& entry) {
  if (entry.watcher == nullptr) return;
  if (entry.from <= compacted_) {
    Watcher* watcher = std::exchange(entry.watcher, nullptr);
    watcher->on_error(compacted_error(entry.from, compacted_));
    return;
  }
  entry.live = true;
  std::vector<Logged> past(log_.begin(), log_.end());  // a watcher may write or compact
  for (const Logged& logged : past) entry.tell(logged.revision, logged.events);
}

void MemoryStore::compact(Revision revision, Callback<Revision> done) {
  enqueue([this, revision, done = std::move(done)](bool fail) {
    if (fail) return done(injected());
    if (revision > revision_) return done(future_error(revision, revision_));
    if (revision > compacted_) compacted_ = revision;
    while (!log_.empty() && log_.front().revision <= compacted_) log_.pop_front();
    done(Revision{compacted_});
  });
}

void MemoryStore::lease_grant(int64_t ttl_ms, Callback<int64_t> done) {
  enqueue([this, ttl_ms, done = std::move(done)](bool fail) {
    if (fail) return done(injected());
    int64_t lease = next_lease_++;
    lease_ids_.insert(lease);
    leases_.add(lease, ttl_ms);
    done(int64_t{lease});
  });
}

void MemoryStore::lease_revoke(int64_t lease, Callback<Revision> done) {
  enqueue([this, lease, done = std::move(done)](bool fail) {
    if (fail) return done(injected());
    if (!lease_ids_.contains(lease)) return done(lease_not_found(lease));
    done(Revision{revoke(lease)});
  });
}

Revision MemoryStore::revoke(int64_t lease) {
  std::vector<std::string> keys;
  for (const auto& [key, kv] : current_) {
    if (kv.lease == lease) keys.push_back(key);
  }
  std::vector<Event> events;
  for (const std::string& key : keys) remove(key, revision_ + 1, events);
  lease_ids_.erase(lease);
  leases_.remove(lease);
  if (!events.empty()) publish(revision_ + 1, std::move(events));
  return revision_;
}

void MemoryStore::expire(int64_t lease) {
  lease_revoke(lease, [this, lease](Result<Revision> revoked) {
    if (!revoked.ok() && revoked.error().code != Code::kNotFound) {
      leases_.retry(lease, kRevokeRetryMs);
    }
  });
}

void MemoryStore::backup(std::string path, Callback<Revision> done) {
  enqueue([path = std::move(path), done = std::move(done)](bool) {
    done(make_error(Code::kBadRequest, "back up to " + path + ": the store is in memory only"));
  });
}

void MemoryStore::restart() {
  queue_.clear();
  delay_->stop();
  scheduled_ = false;
  watches_ = WatchSet();
  std::erase_if(current_, [this](const auto& kv) { return is_volatile(kv.first, options_); });
  constexpr Revision kJump = 1000;
  revision_ += kJump;
}

}  // namespace knarr::kv
