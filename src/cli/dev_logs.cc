#include "cli/dev_logs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/unique_fd.h"

namespace knarr::cli {

namespace {

// False: nobody reads.
bool write_all(int out, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = write(out, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// From where it was read before to its end. False: nobody reads.
Result<bool> copy_rest(int log, int out, const std::string& path) {
  struct stat now {};
  if (fstat(log, &now) == 0 && now.st_size < lseek(log, 0, SEEK_CUR)) lseek(log, 0, SEEK_SET);
  char buffer[16384];
  while (true) {
    ssize_t n = read(log, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read " + path);
    if (n == 0) return true;
    if (!write_all(out, {buffer, static_cast<size_t>(n)})) return false;
  }
}

// Something happened to the file. False: nobody reads `out`, or it cannot be known.
bool await_change(int changes, int out) {
  pollfd fds[] = {{changes, POLLIN, 0}, {out, 0, 0}};
  while (poll(fds, 2, -1) < 0) {
    if (errno != EINTR) return false;
  }
  if (fds[1].revents != 0) return false;
  char events[4096];
  return read(changes, events, sizeof events) > 0;
}

}  // namespace

Result<void> write_log(const std::string& path, bool follow, int out) {
  base::UniqueFd log(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!log.valid()) return errno_error(errno, "open " + path);
  base::UniqueFd changes(inotify_init1(IN_CLOEXEC));
  // A removal that this holds the file through is a change of its attributes.
  if (follow && inotify_add_watch(changes.get(), path.c_str(), IN_MODIFY | IN_ATTRIB) < 0) {
    return errno_error(errno, "follow " + path);
  }
  while (true) {
    struct stat now {};
    bool removed = fstat(log.get(), &now) == 0 && now.st_nlink == 0;
    TRY_ASSIGN(bool read, copy_rest(log.get(), out, path));
    if (!follow || removed || !read || !await_change(changes.get(), out)) return {};
  }
}

}  // namespace knarr::cli
