// A store on a loop, with calls that wait for their answer. Backends are types with make().
#pragma once

#include <optional>
#include <utility>

#include "base/loop.h"
#include "knarr/kv_store.h"
#include "store/memory/memory_store.h"
#include "store/sqlite/sqlite_store.h"
#include "temp_dir.h"

namespace knarr::kv {

using test::TempDir;

struct MemoryBackend {
  std::unique_ptr<Store> make(base::Loop& loop, Options options) {
    return std::make_unique<MemoryStore>(loop, std::move(options));
  }
};

struct SqliteBackend {
  TempDir dir;
  std::unique_ptr<Store> make(base::Loop& loop, Options options) {
    SqliteOptions sqlite;
    sqlite.path = dir / "state.db";
    sqlite.options = std::move(options);
    return std::move(open_sqlite(loop, std::move(sqlite))).value();
  }
};

template <typename T, typename Ask>
Result<T> wait(base::Loop& loop, Ask ask) {
  std::optional<Result<T>> answer;
  ask([&answer](Result<T> result) { answer.emplace(std::move(result)); });
  if (!loop.run_until([&answer] { return answer.has_value(); }, 20000)) {
    return make_error(Code::kTimeout, "no answer from the store");
  }
  return std::move(*answer);
}

struct Recorder final : Watcher {
  std::vector<std::string> seen;  // "5 put a=1 was 0", "6 delete a was 1"
  std::optional<Error> error;
  std::function<void()> then;

  void on_events(Revision revision, const std::vector<Event>& events) override {
    for (const Event& event : events) {
      bool put = event.kind == Event::Kind::kPut;
      seen.push_back(std::to_string(revision) + (put ? " put " : " delete ") + event.kv.key +
                     (put ? "=" + event.kv.value : "") +
                     (event.previous.key.empty() ? "" : " was " + event.previous.value));
    }
    if (then) then();
  }
  void on_error(const Error& e) override { error = e; }
};

template <typename Backend>
struct Harness {
  explicit Harness(Options options = {}) : store(backend.make(loop, std::move(options))) {}

  Result<TxnResult> txn(Txn t) {
    return wait<TxnResult>(loop, [&](auto done) { store->txn(std::move(t), done); });
  }
  Result<TxnResult> create(const std::string& key, const std::string& value, int64_t lease = 0) {
    return txn({{{key, 0}}, {{Op::Kind::kPut, key, value, lease}}});
  }
  Result<TxnResult> put(const std::string& key, const std::string& value, int64_t lease = 0) {
    return txn({{}, {{Op::Kind::kPut, key, value, lease}}});
  }
  Result<TxnResult> remove(const std::string& key) {
    return txn({{}, {{Op::Kind::kDelete, key, "", 0}}});
  }
  Result<RangeResult> range(Range r) {
    return wait<RangeResult>(loop, [&](auto done) { store->range(std::move(r), done); });
  }
  // "a=1 b=2", or "?" for an error.
  std::string text(Range r) {
    Result<RangeResult> result = range(std::move(r));
    if (!result.ok()) return "?";
    std::string out;
    for (const KeyValue& kv : result->kvs)
      out += (out.empty() ? "" : " ") + kv.key + "=" + kv.value;
    return out;
  }
  Result<Revision> compact(Revision revision) {
    return wait<Revision>(loop, [&](auto done) { store->compact(revision, done); });
  }
  Result<int64_t> grant(int64_t ttl_ms) {
    return wait<int64_t>(loop, [&](auto done) { store->lease_grant(ttl_ms, done); });
  }
  Result<Revision> revoke(int64_t lease) {
    return wait<Revision>(loop, [&](auto done) { store->lease_revoke(lease, done); });
  }
  void reopen(Options options = {}) {
    store.reset();
    store = backend.make(loop, std::move(options));
  }

  base::Loop loop;
  Backend backend;
  std::unique_ptr<Store> store;
};

}  // namespace knarr::kv
