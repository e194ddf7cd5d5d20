// Linux capabilities of a container as a bit set (bit n is capability n, capabilities(7)), and the
// system calls to take them on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::runtime {

// -1 when there is no such. Accepts "NET_ADMIN", "CAP_NET_ADMIN", in any case.
int capability_number(std::string_view name);

// What a container gets before anything is added or dropped.
uint64_t default_capabilities();
uint64_t all_capabilities();

// The default set, with "ALL" and names dropped and added as the CRI says. kInvalid for a name that
// is none.
Result<uint64_t> capability_set(bool privileged, const std::vector<std::string>& add,
                                const std::vector<std::string>& drop);

// The set this process may give away.
uint64_t bounding_capabilities();

// Of this process, which is about to exec: bounding set first, while CAP_SETPCAP is there; the rest
// after the user has changed (with PR_SET_KEEPCAPS).
Result<void> limit_bounding_set(uint64_t set);
Result<void> take_capabilities(uint64_t set);

}  // namespace knarr::runtime
