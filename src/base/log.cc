#include "base/log.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>

namespace knarr::base {

namespace {

std::atomic<Level> g_level{Level::kInfo};  // process-wide, set once by main

const char* level_name(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarning: return "warning";
    case Level::kError: return "error";
  }
  return "?";
}

}  // namespace

void set_log_level(Level level) { g_level = level; }

bool log_enabled(Level level) { return level >= g_level; }

void log_line(Level level, std::string_view part, std::string_view message) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts;
  gmtime_r(&now.tv_sec, &parts);
  std::string line =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {} {}: {}\n", parts.tm_year + 1900,
                  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                  now.tv_nsec / 1000000, level_name(level), part, message);
  // A log that cannot be written has nowhere to say so.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace knarr::base
