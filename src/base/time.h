// Moments as text (RFC 3339, UTC), as the Kubernetes API writes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::base {

std::string format_time(int64_t us);        // "2026-01-02T03:04:05Z"
std::string format_micro_time(int64_t us);  // "2026-01-02T03:04:05.678901Z"
std::string format_nano_time(int64_t ns);   // "2026-01-02T03:04:05.678901234Z", as in CRI logs

// Any RFC 3339 moment, with a fraction and a zone; microseconds since the epoch, finer digits cut.
Result<int64_t> parse_time(std::string_view text);

}  // namespace knarr::base
