// Few bytes copied and compared without a call: keys and most values are shorter than 16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace knarr::api {

template <typename Word>
inline Word load(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Two words that may overlap cover every length from one word to two.
inline void copy_bytes(char* to, const char* from, size_t n) {
  if (n > 16) {
    std::memcpy(to, from, n);
  } else if (n >= 8) {
    auto first = load<uint64_t>(from);
    auto last = load<uint64_t>(from + n - 8);
    std::memcpy(to, &first, 8);
    std::memcpy(to + n - 8, &last, 8);
  } else if (n >= 4) {
    auto first = load<uint32_t>(from);
    auto last = load<uint32_t>(from + n - 4);
    std::memcpy(to, &first, 4);
    std::memcpy(to + n - 4, &last, 4);
  } else {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
  }
}

inline bool same_bytes(const char* a, const char* b, size_t n) {
  if (n > 16) return std::memcmp(a, b, n) == 0;
  if (n >= 8) {
    return load<uint64_t>(a) == load<uint64_t>(b) &&
           load<uint64_t>(a + n - 8) == load<uint64_t>(b + n - 8);
  }
  if (n >= 4) {
    return load<uint32_t>(a) == load<uint32_t>(b) &&
           load<uint32_t>(a + n - 4) == load<uint32_t>(b + n - 4);
  }
  for (size_t i = 0; i < n; i++) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace knarr::api
