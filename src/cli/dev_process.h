// Processes as `knarr dev` writes them down: with the time they started, as a pid alone may be
// another's by now.
#pragma once

#include <string>
#include <string_view>

namespace knarr::cli {

// "PID TICKS", since boot.
std::string process_record(int pid);
// The pid, or 0 when that process has ended.
int process_of_record(std::string_view record);

// Waits until it has ended; false after `most_ms`.
bool await_end(int pid, int most_ms);

}  // namespace knarr::cli
