// Structured lines on stderr: "2026-01-02T03:04:05.678Z info store: compacted revision=12". One
// line a call, written with one write(2), from any thread.
#pragma once

#include <string_view>

#include "base/format.h"

namespace knarr::base {

enum class Level { kDebug, kInfo, kWarning, kError };

void set_log_level(Level level);
bool log_enabled(Level level);
void log_line(Level level, std::string_view part, std::string_view message);

// log(Level::kInfo, "store", "compacted revision={}", revision)
template <typename... Args>
void log(Level level, std::string_view part, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) log_line(level, part, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace knarr::base
