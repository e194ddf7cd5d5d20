#include "cli/dev_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "agent/volumes/mount_point.h"
#include "base/file.h"
#include "base/format.h"

namespace knarr::cli {

namespace {

constexpr int kMostEndMs = 10000;

// Perhaps nobody has asked yet how: its entry in /proc is there still.
bool has_ended(const base::UniqueFd& process) {
  pollfd end = {process.get(), POLLIN, 0};
  return poll(&end, 1, 0) == 1;
}

// 0 when there is no such process, or it has ended (proc(5), fields 3 and 22 of stat).
uint64_t start_time(int pid) {
  auto stat = base::read_file(fmt::format("/proc/{}/stat", pid));
  size_t name_end = stat.ok() ? stat->rfind(')') : std::string::npos;
  if (name_end == std::string::npos || stat->compare(name_end, 3, ") Z") == 0) return 0;
  const char* at = stat->c_str() + name_end;
  for (int field = 2; field < 22 && at != nullptr; field++) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at, nullptr, 10);
}

}  // namespace

std::string process_record(int pid) { return fmt::format("{} {}\n", pid, start_time(pid)); }

int process_of_record(std::string_view record) {
  std::string text(record);
  char* end = nullptr;
  int pid = static_cast<int>(std::strtol(text.c_str(), &end, 10));
  uint64_t started = std::strtoull(end, nullptr, 10);
  return pid > 0 && started != 0 && start_time(pid) == started ? pid : 0;
}

bool await_end(int pid, int most_ms) {
  base::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process.valid()) return true;
  pollfd end = {process.get(), POLLIN, 0};
  bool ended = poll(&end, 1, most_ms) == 1;
  waitpid(pid, nullptr, WNOHANG);  // when it is our own child
  return ended;
}

std::vector<FoundProcess> find_processes(
    const std::function<bool(const std::string& process)>& chosen) {
  std::vector<FoundProcess> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    int pid = std::stoi(name);
    // Opened before it is looked at.
    base::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid() || pid == getpid() || has_ended(process)) continue;
    if (!chosen(entry.path())) continue;
    out.push_back({pid, std::move(process)});
  }
  return out;
}

void kill_and_await(const std::vector<FoundProcess>& processes) {
  for (const FoundProcess& p : processes) {
    syscall(SYS_pidfd_send_signal, p.process.get(), SIGKILL, nullptr, 0);
  }
  for (const FoundProcess& p : processes) await_end(p.pid, kMostEndMs);
}

bool runs_below(std::string_view arguments, const std::string& run) {
  return arguments.starts_with(std::string_view("knarr\0", 6)) &&
         arguments.find('\0' + run + '/') != std::string_view::npos;
}

bool has_address_in(std::string_view arguments, int subnet) {
  constexpr std::string_view kFlag("\0--node-ip\0", 11);
  size_t at = arguments.find(kFlag);
  return at != std::string_view::npos &&
         arguments.substr(at + kFlag.size()).starts_with(fmt::format("10.89.{}.", subnet));
}

bool has_root_below(std::string_view mountinfo, const std::string& folder) {
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string skip, root, point, options;
    fields >> skip >> skip >> skip >> root >> point;
    if (point != "/") continue;
    while (fields >> skip && skip != "-") {
    }
    fields >> skip >> skip >> options;
    if (agent::unescape_mountinfo(root).starts_with(folder + "/")) return true;
    std::istringstream parts(options);
    for (std::string part; std::getline(parts, part, ',');) {
      if (agent::unescape_mountinfo(part).starts_with("upperdir=" + folder + "/")) return true;
    }
  }
  return false;
}

bool is_rooted_below(const std::string& process, const std::string& folder) {
  std::error_code error;
  auto theirs = std::filesystem::read_symlink(process + "/ns/mnt", error);
  auto ours = std::filesystem::read_symlink("/proc/self/ns/mnt", error);
  if (error || theirs == ours) return false;
  auto mounts = base::read_file(process + "/mountinfo");
  return mounts.ok() && has_root_below(*mounts, folder);
}

}  // namespace knarr::cli
