// Times of the API as microseconds since the epoch (what Clock gives), and their RFC 3339 texts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knarr::api {

std::optional<int64_t> parse_time(std::string_view text);  // any offset, any fraction
std::string format_time(int64_t time_us);                  // meta/v1 Time: seconds, UTC
std::string format_micro_time(int64_t time_us);            // meta/v1 MicroTime: six decimals, UTC

}  // namespace knarr::api
