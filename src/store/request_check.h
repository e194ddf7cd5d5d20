// What every backend answers in the same way: what it refuses before it looks at a key (past the
// limits, malformed), and which part of a state a range takes.
#pragma once

#include <map>
#include <string>

#include "knarr/kv_store.h"

namespace knarr::kv {

Result<void> check_txn(const Txn& txn, const Options& options);
bool is_volatile(std::string_view key, const Options& options);
// Whether a key lies in [begin, end), where an empty end means the one key `begin`.
bool in_range(std::string_view key, std::string_view begin, std::string_view end);

// The keys of `state`, all of them in the range, that its limit leaves; `newest` is the store's
// revision.
RangeResult take_range(std::map<std::string, KeyValue> state, const Range& range, Revision newest);

Error compacted_error(Revision asked, Revision compacted);
Error future_error(Revision asked, Revision newest);
Error lease_not_found(int64_t lease);

}  // namespace knarr::kv
