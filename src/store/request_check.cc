#include "store/request_check.h"

#include <set>
#include <utility>

#include "base/format.h"

namespace knarr::kv {

Result<void> check_txn(const Txn& txn, const Options& options) {
  auto max_ops = static_cast<size_t>(options.limits.max_txn_ops);
  if (txn.ops.size() > max_ops || txn.compares.size() > max_ops) {
    return make_error(Code::kRequestEntityTooLarge,
                      fmt::format("too many operations in transaction: limit {}", max_ops));
  }
  std::set<std::string_view> seen;
  for (const Op& op : txn.ops) {
    if (op.key.empty()) return make_error(Code::kBadRequest, "key is not provided");
    if (op.value.size() > static_cast<size_t>(options.limits.max_value_bytes)) {
      return make_error(Code::kRequestEntityTooLarge,
                        fmt::format("value of {} has {} bytes: limit {}", op.key, op.value.size(),
                                    options.limits.max_value_bytes));
    }
    if (op.lease != 0 && is_volatile(op.key, options)) {
      return make_error(Code::kBadRequest, fmt::format("volatile key {} with a lease", op.key));
    }
    if (txn.ops.size() > 1 && !seen.insert(op.key).second) {
      return make_error(Code::kBadRequest, "duplicate key given in transaction");
    }
  }
  return {};
}

bool is_volatile(std::string_view key, const Options& options) {
  for (const std::string& prefix : options.volatile_prefixes) {
    if (key.starts_with(prefix)) return true;
  }
  return false;
}

bool in_range(std::string_view key, std::string_view begin, std::string_view end) {
  return end.empty() ? key == begin : begin <= key && key < end;
}

RangeResult take_range(std::map<std::string, KeyValue> state, const Range& range, Revision newest) {
  RangeResult result;
  result.revision = newest;
  result.count = static_cast<int64_t>(state.size());
  if (range.count_only) return result;
  for (auto& [key, kv] : state) {
    if (range.limit > 0 && static_cast<int64_t>(result.kvs.size()) == range.limit) {
      result.more = true;
      break;
    }
    if (range.keys_only) kv.value.clear();
    result.kvs.push_back(std::move(kv));
  }
  return result;
}

Error compacted_error(Revision asked, Revision compacted) {
  return make_error(Code::kExpired,
                    fmt::format("required revision {} has been compacted ({})", asked, compacted));
}

Error future_error(Revision asked, Revision newest) {
  return make_error(Code::kBadRequest,
                    fmt::format("required revision {} is a future revision ({})", asked, newest));
}

Error lease_not_found(int64_t lease) {
  return make_error(Code::kNotFound, fmt::format("requested lease {} not found", lease));
}

}  // namespace knarr::kv
