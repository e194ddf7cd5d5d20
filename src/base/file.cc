#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/unique_fd.h"

namespace knarr::base {

namespace {

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "write " + path);
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<void> write_new(const std::string& path, std::string_view content, mode_t mode,
                       Durability durability) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd.valid()) return errno_error(errno, "create " + path);
  if (fchmod(fd.get(), mode) != 0) return errno_error(errno, "chmod " + path);
  TRY(write_all(fd.get(), content, path));
  if (durability == Durability::kSynced && fsync(fd.get()) != 0) {
    return errno_error(errno, "fsync " + path);
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  std::string content;
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read " + path);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
  }
}

Result<void> write_file(const std::string& path, std::string_view content, mode_t mode,
                        Durability durability) {
  std::string temporary = path + ".new";
  if (auto written = write_new(temporary, content, mode, durability); !written.ok()) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return errno_error(errno, "rename " + temporary + " to " + path);
  }
  return durability == Durability::kPlain ? Result<void>() : sync_folder_of(path);
}

Result<void> sync_folder_of(const std::string& path) {
  UniqueFd folder(::open(parent_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid() || fsync(folder.get()) != 0) {
    return errno_error(errno, "fsync the folder of " + path);
  }
  return {};
}

Result<void> make_dirs(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    if (::mkdir(path.substr(0, slash).c_str(), mode) != 0 && errno != EEXIST) {
      return errno_error(errno, "mkdir " + path.substr(0, slash));
    }
  }
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    return errno_error(errno, "mkdir " + path);
  return {};
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace knarr::base
