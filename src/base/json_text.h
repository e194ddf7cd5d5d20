// How far JSON text, or text that becomes JSON, needs no look at its single bytes. Requests, stored
// objects and answers are walked a few times each, and are mostly such runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace knarr::json {

// Where the run of bytes from `at` ends that are ASCII and stand for themselves in a JSON string:
// at a quote, a backslash, a control character, a byte above 127, or the end of the text.
inline size_t end_of_plain(std::string_view text, size_t at) {
  // Eight bytes at once: the high bit of a byte becomes one where the byte is not plain (or where a
  // byte below it is not, which is found first).
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    uint64_t quote = (word ^ (kOnes * '"')) - kOnes;
    uint64_t backslash = (word ^ (kOnes * '\\')) - kOnes;
    if (((word | (word - kOnes * 0x20) | quote | backslash) & kHighs) != 0) break;
  }
  for (; at < text.size(); at++) {
    char c = text[at];
    if (c == '"' || c == '\\' || static_cast<signed char>(c) < 0x20) break;
  }
  return at;
}

}  // namespace knarr::json
