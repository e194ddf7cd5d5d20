// Processes as `knarr dev` writes them down, with the time they started, as a pid alone may be
// another's by now; and as it finds them, by what the kernel knows.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace knarr::cli {

// "PID TICKS", since boot.
std::string process_record(int pid);
// The pid, or 0 when that process has ended.
int process_of_record(std::string_view record);

// Waits until it has ended; false after `most_ms`.
bool await_end(int pid, int most_ms);

struct FoundProcess {
  int pid;
  base::UniqueFd process;  // what is signalled is what was looked at
};
// All that run but this one, and that `chosen` says yes to; it is given "/proc/PID".
std::vector<FoundProcess> find_processes(
    const std::function<bool(const std::string& process)>& chosen);
// SIGKILL to all, and waits until they have ended.
void kill_and_await(const std::vector<FoundProcess>& processes);

// By its arguments ("a\0b\0"): nodes and shims alike are "knarr", with paths below the run folder
// among their arguments. Pure.
bool runs_below(std::string_view arguments, const std::string& run);
// A node whose --node-ip is of 10.89.N.0/24. Pure.
bool has_address_in(std::string_view arguments, int subnet);
// Whether what is mounted at "/" lies in the folder, an overlay by its upper directory. `mountinfo`
// is that of proc(5). Pure.
bool has_root_below(std::string_view mountinfo, const std::string& folder);
// The same of a process ("/proc/PID") with mounts of its own: containers. What else it has mounted
// makes it nobody's.
bool is_rooted_below(const std::string& process, const std::string& folder);

}  // namespace knarr::cli
