#include "agent/volumes/ownership.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "base/format.h"
#include "base/unique_fd.h"

namespace knarr::agent {

namespace {

using base::UniqueFd;

// One descriptor is open for each level.
constexpr int kMostLevels = 200;

// `fd` may be O_PATH. The mode is changed through /proc: no system call of this kernel's takes an
// O_PATH descriptor for it, and this one leads to the file that is open, not to a name.
Result<void> give(int fd, const std::string& path, const Ownership& owner) {
  struct stat st;
  if (fstat(fd, &st) != 0) return errno_error(errno, "stat " + path);
  if (S_ISLNK(st.st_mode)) return {};
  if (fchownat(fd, "", static_cast<uid_t>(-1), static_cast<gid_t>(owner.group),
               AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
    return errno_error(errno, "chown " + path);
  }
  mode_t mask = owner.read_only ? 0440 : 0660;
  if (S_ISDIR(st.st_mode)) mask |= S_ISGID | 0110;
  std::string open_file = fmt::format("/proc/self/fd/{}", fd);
  if (chmod(open_file.c_str(), (st.st_mode & 07777) | mask) != 0) {
    return errno_error(errno, "chmod " + path);
  }
  return {};
}

Result<std::vector<std::string>> names_in(int folder, const std::string& path) {
  UniqueFd readable(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable.valid()) return errno_error(errno, "open " + path);
  std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(readable.get()), closedir);
  if (!entries) return errno_error(errno, "read " + path);
  (void)readable.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(entries.get())) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0 && errno != ENOENT) return errno_error(errno, "read " + path);
  return names;
}

Result<void> give_tree(int fd, const std::string& path, const Ownership& owner, int levels) {
  struct stat st;
  if (fstat(fd, &st) != 0) return errno_error(errno, "stat " + path);
  if (!S_ISDIR(st.st_mode)) return give(fd, path, owner);
  if (levels == 0) return make_error(Code::kInvalid, path + ": too many folders in each other");
  auto names = names_in(fd, path);
  if (!names.ok()) {
    if (names.error().code == Code::kNotFound) return {};
    return names.error();
  }
  for (const std::string& name : *names) {
    UniqueFd entry(openat(fd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!entry.valid()) {
      if (errno == ENOENT) continue;
      return errno_error(errno, "open " + path + "/" + name);
    }
    TRY(give_tree(entry.get(), path + "/" + name, owner, levels - 1));
  }
  return give(fd, path, owner);
}

}  // namespace

Result<void> give_to_group(const std::string& path, const Ownership& owner) {
  if (owner.group < 0) return {};
  UniqueFd fd(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  return give(fd.get(), path, owner);
}

Result<void> give_tree_to_group(const std::string& root, const Ownership& owner) {
  if (owner.group < 0) return {};
  UniqueFd fd(open(root.c_str(), O_PATH | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + root);
  return give_tree(fd.get(), root, owner, kMostLevels);
}

}  // namespace knarr::agent
