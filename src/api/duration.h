// Spans of time as text: Go's ("1h2m3.5s"), and the short ones of tables' AGE columns ("5d3h").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::api {

// time.ParseDuration, in nanoseconds. Errors in Go's words: `time: invalid duration "x"`.
Result<int64_t> parse_duration(std::string_view text);

// time.Duration.String.
std::string format_duration(int64_t ns);

// duration.HumanDuration.
std::string human_duration(int64_t us);

// The age of what was made at an RFC 3339 moment: "<unknown>" when absent, "<invalid>" when it
// can't be read.
std::string age(std::string_view created, int64_t now_us);

}  // namespace knarr::api
