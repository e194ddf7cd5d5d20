// What every backend refuses before it looks at a key: past the limits, malformed.
#pragma once

#include "knarr/kv_store.h"

namespace knarr::kv {

Result<void> check_txn(const Txn& txn, const Options& options);
bool is_volatile(std::string_view key, const Options& options);
// Whether a key lies in [begin, end), where an empty end means the one key `begin`.
bool in_range(std::string_view key, std::string_view begin, std::string_view end);

Error compacted_error(Revision asked, Revision compacted);
Error future_error(Revision asked, Revision newest);
Error lease_not_found(int64_t lease);

}  // namespace knarr::kv
