#include "cli/dev_user.h"

#include <charconv>
#include <cstdlib>
#include <vector>

namespace knarr::cli {

namespace {

// Calls fn(fields) for each line until it returns true.
template <typename Fn>
void each_line(std::string_view text, Fn&& fn) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    std::vector<std::string_view> fields;
    while (true) {
      size_t colon = line.find(':');
      fields.push_back(line.substr(0, colon));
      if (colon == std::string_view::npos) break;
      line.remove_prefix(colon + 1);
    }
    if (fn(fields)) return;
  }
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

}  // namespace

std::string variable(const char* name) {
  const char* value = getenv(name);
  return value != nullptr ? value : "";
}

std::optional<PasswdEntry> find_user(std::string_view passwd, std::string_view name_or_uid) {
  std::optional<PasswdEntry> found;
  each_line(passwd, [&](const std::vector<std::string_view>& f) {
    if (f.size() < 7 || (f[0] != name_or_uid && f[2] != name_or_uid)) return false;
    found = PasswdEntry{std::string(f[0]), std::string(f[2]), std::string(f[5])};
    return true;
  });
  return found;
}

std::optional<IdRange> find_id_range(std::string_view subids, const PasswdEntry& user) {
  std::optional<IdRange> found;
  each_line(subids, [&](const std::vector<std::string_view>& f) {
    if (f.size() != 3 || (f[0] != user.name && f[0] != user.uid)) return false;
    auto first = number(f[1]), count = number(f[2]);
    if (!first || !count || *count == 0) return false;
    found = IdRange{*first, *count};
    return true;
  });
  return found;
}

}  // namespace knarr::cli
