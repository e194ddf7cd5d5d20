// Reads: the newest state, an older one, and the changes since a revision. See engine.h.
#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>

#include "store/request_check.h"
#include "store/sqlite/engine.h"

namespace knarr::kv {

namespace {

// The exclusive end of a range in SQL: for one key, its successor.
std::string sql_end(const std::string& begin, const std::string& end) {
  return end.empty() ? begin + '\0' : end;
}

KeyValue key_value(const Statement& row, int first_column) {
  return {row.blob(first_column), row.blob(first_column + 1), row.integer(first_column + 2),
          row.integer(first_column + 3), row.integer(first_column + 4)};
}

}  // namespace

Result<RangeResult> Engine::range(const Range& range) {
  if (range.revision > revision_) return future_error(range.revision, revision_);
  if (range.revision > 0 && range.revision < compacted_) {
    return compacted_error(range.revision, compacted_);
  }
  return range.revision == 0 ? range_now(range) : range_at(range);
}

Result<std::vector<KeyValue>> Engine::read_current(const Range& range, int64_t limit) {
  std::string end = sql_end(range.begin, range.end);
  Statement& statement = range.keys_only ? range_keys_ : range_;
  ResetLater reset(statement);
  statement.bind(1, range.begin).bind(2, end).bind(3, limit);
  std::vector<KeyValue> kvs;
  for (;;) {
    TRY_ASSIGN(bool more, statement.step());
    if (!more) return kvs;
    kvs.push_back(key_value(statement, 0));
  }
}

Result<RangeResult> Engine::range_now(const Range& range) {
  RangeResult result;
  result.revision = revision_;
  auto low = volatile_.lower_bound(range.begin);
  auto high = volatile_.lower_bound(sql_end(range.begin, range.end));
  if (low != volatile_.end() && (high == volatile_.end() || low->first < high->first)) {
    result.count = std::distance(low, high);
  } else {
    high = low;
  }
  if (range.count_only) {
    std::string end = sql_end(range.begin, range.end);
    ResetLater reset(count_);
    TRY(count_.bind(1, range.begin).bind(2, end).step());
    result.count += count_.integer(0);
    return result;
  }
  TRY_ASSIGN(result.kvs, read_current(range, range.limit > 0 ? range.limit + 1 : -1));
  for (auto it = low; it != high; ++it) {
    result.kvs.push_back(it->second);
    if (range.keys_only) result.kvs.back().value.clear();
  }
  if (low != high) {
    std::sort(result.kvs.begin(), result.kvs.end(),
              [](const KeyValue& a, const KeyValue& b) { return a.key < b.key; });
  }
  result.count = static_cast<int64_t>(result.kvs.size());
  if (range.limit > 0 && result.count > range.limit) {
    result.kvs.resize(static_cast<size_t>(range.limit));
    result.more = true;
  }
  return result;
}

// The durable keys as they were: the current ones, rolled back through the log.
Result<RangeResult> Engine::range_at(const Range& range) {
  std::map<std::string, KeyValue> state;
  TRY_ASSIGN(std::vector<KeyValue> now, read_current(range, -1));
  for (KeyValue& kv : now) state.emplace(kv.key, std::move(kv));
  {
    std::string end = sql_end(range.begin, range.end);
    ResetLater reset(log_from_);
    log_from_.bind(1, log_id(range.revision + 1)).bind(2, range.begin).bind(3, end);
    for (;;) {
      TRY_ASSIGN(bool more, log_from_.step());
      if (!more) break;
      if (log_from_.is_null(2)) {
        state.erase(log_from_.blob(1));
      } else {
        KeyValue previous = key_value(log_from_, 1);
        state[previous.key] = std::move(previous);
      }
    }
  }
  return take_range(std::move(state), range, revision_);
}

// Walks the log backwards: what a change left is what the change after it found, or what is there
// now.
Result<std::vector<Event>> Engine::replay(const std::string& begin, const std::string& end,
                                          Revision from) {
  if (from <= compacted_) return compacted_error(from, compacted_);
  std::vector<Event> events;
  std::unordered_map<std::string, KeyValue> after;  // key -> state left by the change at hand
  std::string bound = sql_end(begin, end);
  ResetLater reset(log_from_);
  log_from_.bind(1, log_id(from)).bind(2, begin).bind(3, bound);
  for (;;) {
    TRY_ASSIGN(bool more, log_from_.step());
    if (!more) break;
    std::string key = log_from_.blob(1);
    Revision revision = log_from_.integer(0) >> kPlaceBits;
    Event event;
    if (auto it = after.find(key); it != after.end()) {
      event.kv = std::move(it->second);
    } else {
      TRY_ASSIGN(Row row, find_durable(key));
      event.kv = std::move(row.kv);
    }
    if (event.kv.mod_revision == 0) {
      event.kind = Event::Kind::kDelete;
      event.kv = KeyValue{key, {}, 0, revision, 0};
    }
    if (!log_from_.is_null(2)) event.previous = key_value(log_from_, 1);
    after[key] = event.previous;
    events.push_back(std::move(event));
  }
  std::reverse(events.begin(), events.end());
  return events;
}

}  // namespace knarr::kv
