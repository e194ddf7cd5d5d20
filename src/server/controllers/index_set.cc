#include "server/controllers/index_set.h"

#include <algorithm>
#include <charconv>

namespace knarr::server {

std::set<int64_t> parse_indexes(std::string_view text, int64_t limit) {
  std::set<int64_t> indexes;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    int64_t first = 0;
    auto [stop, error] = std::from_chars(at, end, first);
    if (error != std::errc()) break;
    int64_t last = first;
    at = stop;
    if (at < end && *at == '-') {
      auto [stop2, error2] = std::from_chars(at + 1, end, last);
      if (error2 != std::errc()) break;
      at = stop2;
    }
    for (int64_t i = first; i <= std::min(last, limit - 1); ++i) indexes.insert(i);
    if (at < end && *at != ',') break;
    ++at;
  }
  return indexes;
}

std::string format_indexes(const std::set<int64_t>& indexes) {
  std::string out;
  for (auto it = indexes.begin(); it != indexes.end();) {
    int64_t first = *it, last = first;
    for (++it; it != indexes.end() && *it == last + 1; ++it) last = *it;
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last > first) out += (last == first + 1 ? "," : "-") + std::to_string(last);
  }
  return out;
}

}  // namespace knarr::server
