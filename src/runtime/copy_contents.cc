#include "runtime/copy_contents.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace knarr::runtime {

namespace {

// Folders within folders hold a descriptor each; no image needs more.
constexpr int kMaxDepth = 200;
constexpr size_t kChunk = 16 << 20;

Error failed(const char* what, const std::string& name) {
  return errno_error(errno, std::string(what) + " " + name);
}

// Best effort: a file system need not know extended attributes.
void copy_xattrs(int from, int to) {
  std::vector<char> names(64 << 10), value(64 << 10);
  ssize_t size = flistxattr(from, names.data(), names.size());
  for (const char* name = names.data(); size > 0;) {
    size_t length = std::char_traits<char>::length(name) + 1;
    ssize_t n = fgetxattr(from, name, value.data(), value.size());
    if (n >= 0) fsetxattr(to, name, value.data(), static_cast<size_t>(n), 0);
    size -= static_cast<ssize_t>(length);
    name += length;
  }
}

// The mode after the owner: chown takes setuid bits away.
Result<void> copy_attributes(int from, int to, const struct stat& info, const std::string& name) {
  copy_xattrs(from, to);
  if (fchown(to, info.st_uid, info.st_gid) != 0) return failed("chown", name);
  if (fchmod(to, info.st_mode & 07777) != 0) return failed("chmod", name);
  timespec times[] = {info.st_atim, info.st_mtim};
  futimens(to, times);
  return {};
}

Result<void> copy_file(int from_dir, int to_dir, const std::string& name) {
  base::UniqueFd from(openat(from_dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!from.valid()) return failed("open", name);
  base::UniqueFd to(
      openat(to_dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to.valid()) return failed("create", name);
  struct stat info;
  if (fstat(from.get(), &info) != 0) return failed("stat", name);
  for (ssize_t n = 1; n != 0;) {
    n = sendfile(to.get(), from.get(), nullptr, kChunk);
    if (n < 0 && errno != EINTR) return failed("copy", name);
  }
  return copy_attributes(from.get(), to.get(), info, name);
}

Result<void> copy_link(int from_dir, int to_dir, const std::string& name, const struct stat& info) {
  char target[PATH_MAX];
  ssize_t n = readlinkat(from_dir, name.c_str(), target, sizeof target - 1);
  if (n < 0) return failed("read link", name);
  target[n] = '\0';
  if (symlinkat(target, to_dir, name.c_str()) != 0) return failed("symlink", name);
  if (fchownat(to_dir, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return failed("chown", name);
  }
  return {};
}

Result<void> copy_node(int to_dir, const std::string& name, const struct stat& info) {
  if (mknodat(to_dir, name.c_str(), info.st_mode, info.st_rdev) != 0) return failed("mknod", name);
  if (fchownat(to_dir, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0 ||
      fchmodat(to_dir, name.c_str(), info.st_mode & 07777, 0) != 0) {
    return failed("chown", name);
  }
  return {};
}

Result<void> copy_folder(int from, int to, int depth);

Result<void> copy_entry(int from, int to, const std::string& name, int depth) {
  struct stat info;
  if (fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return failed("stat", name);
  if (S_ISREG(info.st_mode)) return copy_file(from, to, name);
  if (S_ISLNK(info.st_mode)) return copy_link(from, to, name, info);
  if (!S_ISDIR(info.st_mode)) return copy_node(to, name, info);
  if (depth >= kMaxDepth) return make_error(Code::kInvalid, name + ": folders are too deep");
  if (mkdirat(to, name.c_str(), 0700) != 0 && errno != EEXIST) return failed("mkdir", name);
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  base::UniqueFd from_sub(openat(from, name.c_str(), kFlags));
  base::UniqueFd to_sub(openat(to, name.c_str(), kFlags));
  if (!from_sub.valid() || !to_sub.valid()) return failed("open", name);
  return copy_folder(from_sub.get(), to_sub.get(), depth + 1);
}

Result<void> copy_folder(int from, int to, int depth) {
  struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::unique_ptr<DIR, CloseDir> dir(copy < 0 ? nullptr : fdopendir(copy));
  if (dir == nullptr) return failed("read", "folder");
  while (dirent* entry = readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") TRY(copy_entry(from, to, name, depth));
  }
  struct stat info;
  if (fstat(from, &info) != 0) return failed("stat", "folder");
  return copy_attributes(from, to, info, "folder");
}

}  // namespace

Result<void> copy_contents(int from, int to) { return copy_folder(from, to, 0); }

}  // namespace knarr::runtime
