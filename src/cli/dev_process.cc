#include "cli/dev_process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/format.h"
#include "base/unique_fd.h"

namespace knarr::cli {

namespace {

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

}  // namespace knarr::cli
