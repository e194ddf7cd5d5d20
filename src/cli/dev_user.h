// Who an ordinary user is to `knarr dev`: what passwd(5), subuid(5) and subgid(5) say of him, read
// as text, because the C library's look-ups would want shared libraries.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knarr::cli {

struct PasswdEntry {
  std::string name, uid, home;
};

// Of the environment; empty when it is not set.
std::string variable(const char* name);

// The first entry with that name, or with that number in decimal.
std::optional<PasswdEntry> find_user(std::string_view passwd, std::string_view name_or_uid);

// Ids besides his own that a user may give to processes.
struct IdRange {
  uint64_t first = 0, count = 0;
};

// The first range of the user, whom these files name by name or number.
std::optional<IdRange> find_id_range(std::string_view subids, const PasswdEntry& user);

}  // namespace knarr::cli
