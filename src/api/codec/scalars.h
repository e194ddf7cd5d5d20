// The API's scalar texts: moments, durations, numbers, as Go's types read and write them.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::api {

// RFC 3339 -> UTC, cut to whole seconds: "2026-01-02T03:04:05Z". Errors in the words of Go's
// time.Parse.
Result<std::string> canonical_time(std::string_view text);
// The same with six decimals, which must be given.
Result<std::string> canonical_micro_time(std::string_view text);
// "90s" -> "1m30s".
Result<std::string> canonical_duration(std::string_view text);

// A float64 as encoding/json writes it: "1", "0.5", "1e+21".
void append_double(std::string& out, double value);

// Appends a code point as UTF-8.
void append_utf8(std::string& out, uint32_t code_point);

// `text` is the inside of a JSON string literal that check_json accepted; escapes are resolved,
// invalid UTF-8 and lone surrogates become U+FFFD.
std::string unescape_json_string(std::string_view text);

// True when every sequence is well formed.
bool is_utf8(std::string_view text);

}  // namespace knarr::api
