#include "runtime/image/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "base/format.h"
#include "base/unique_fd.h"

namespace knarr::runtime {

namespace {

// Directories deeper than this are first moved up, so that a tree of any depth is removed with a
// bounded number of open descriptors.
constexpr int kMaxOpenDepth = 32;

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
using Directory = std::unique_ptr<DIR, CloseDir>;

bool is_dot(const char* name) {
  return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

Directory open_directory_at(int at, const char* name) {
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return nullptr;
  DIR* dir = fdopendir(fd);
  if (dir == nullptr) close(fd);
  return Directory(dir);
}

std::vector<std::string> names_in(DIR* dir) {
  std::vector<std::string> names;
  while (dirent* entry = readdir(dir)) {
    if (!is_dot(entry->d_name)) names.emplace_back(entry->d_name);
  }
  return names;
}

class Remover {
 public:
  Remover(int top_fd, std::string top_name) : top_fd_(top_fd), top_name_(std::move(top_name)) {}

  int run() {
    int error = remove(top_fd_, top_name_, 0);
    while (error == 0 && !moved_.empty()) {
      std::string name = std::move(moved_.back());
      moved_.pop_back();
      error = remove(top_fd_, name, 0);
    }
    return error;
  }

 private:
  int remove(int at, const std::string& name, int depth) {
    if (unlinkat(at, name.c_str(), 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return errno;
    if (unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    if (errno != ENOTEMPTY && errno != EEXIST) return errno;
    if (depth >= kMaxOpenDepth) return move_up(at, name);
    Directory dir = open_directory_at(at, name.c_str());
    if (dir == nullptr) return errno;
    for (const std::string& child : names_in(dir.get())) {
      if (int error = remove(dirfd(dir.get()), child, depth + 1)) return error;
    }
    return unlinkat(at, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
  }

  // The names there are not only ours: what has one is another's, and stays.
  int move_up(int at, const std::string& name) {
    while (true) {
      std::string aside = fmt::format(".{}.{}", top_name_.substr(0, 100), ++count_);
      if (renameat(at, name.c_str(), top_fd_, aside.c_str()) == 0) {
        moved_.push_back(std::move(aside));
        return 0;
      }
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) return errno;
    }
  }

  int top_fd_;
  std::string top_name_;
  std::vector<std::string> moved_;
  int count_ = 0;
};

using Seen = std::set<std::pair<dev_t, ino_t>>;

void add_usage(int at, const char* name, int depth, Seen& seen, uint64_t& bytes, uint64_t& inodes) {
  struct stat st;
  if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return;
  bool directory = S_ISDIR(st.st_mode);
  if (!directory && st.st_nlink > 1 && !seen.emplace(st.st_dev, st.st_ino).second) return;
  bytes += static_cast<uint64_t>(st.st_blocks) * 512;
  inodes += 1;
  if (!directory || depth > 256) return;
  Directory dir = open_directory_at(at, name);
  if (dir == nullptr) return;
  for (const std::string& child : names_in(dir.get())) {
    add_usage(dirfd(dir.get()), child.c_str(), depth + 1, seen, bytes, inodes);
  }
}

std::string parent_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<std::string> read_file(const std::string& path, int64_t limit_bytes) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  std::string out;
  char buffer[16384];
  for (;;) {
    ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read " + path);
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    if (static_cast<int64_t>(out.size()) > limit_bytes) {
      return make_error(Code::kRequestEntityTooLarge, "read " + path + ": file too large");
    }
  }
}

Result<void> write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "write " + what);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<void> write_file(const std::string& path, std::string_view bytes, bool durable) {
  std::string beside = path + ".new";
  base::UniqueFd fd(open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return errno_error(errno, "create " + beside);
  TRY(write_all(fd.get(), bytes, beside));
  if (durable && fsync(fd.get()) != 0) return errno_error(errno, "sync " + beside);
  if (rename(beside.c_str(), path.c_str()) != 0) return errno_error(errno, "rename " + beside);
  return durable ? sync_directory(parent_of(path)) : Result<void>();
}

Result<void> make_directories(const std::string& path, unsigned mode) {
  for (size_t slash = 1; slash != std::string::npos;) {
    slash = path.find('/', slash);
    std::string part = path.substr(0, slash);
    if (mkdir(part.c_str(), mode) != 0 && errno != EEXIST && errno != EROFS) {
      return errno_error(errno, "mkdir " + part);
    }
    if (slash != std::string::npos) ++slash;
  }
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return errno_error(errno, "mkdir " + path);
  return {};
}

std::vector<std::string> names_in(const std::string& directory) {
  Directory dir = open_directory_at(AT_FDCWD, directory.c_str());
  return dir == nullptr ? std::vector<std::string>() : names_in(dir.get());
}

Result<void> copy_directory_attributes(const std::string& from, const std::string& to) {
  struct stat st;
  if (stat(from.c_str(), &st) != 0) return errno_error(errno, "stat " + from);
  timespec times[2] = {st.st_atim, st.st_mtim};
  if (chown(to.c_str(), st.st_uid, st.st_gid) != 0 || chmod(to.c_str(), st.st_mode & 07777) != 0 ||
      utimensat(AT_FDCWD, to.c_str(), times, 0) != 0) {
    return errno_error(errno, "set owner and mode of " + to);
  }
  return {};
}

Result<void> sync_directory(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) return errno_error(errno, "sync " + path);
  return {};
}

Result<void> sync_file_system(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() || syncfs(fd.get()) != 0) return errno_error(errno, "sync " + path);
  return {};
}

Result<void> remove_tree_at(int directory_fd, const std::string& name) {
  if (int error = Remover(directory_fd, name).run()) return errno_error(error, "remove " + name);
  return {};
}

Result<void> remove_tree(const std::string& path) {
  std::string parent = parent_of(path);
  base::UniqueFd fd(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    return errno == ENOENT ? Result<void>() : errno_error(errno, "remove " + path);
  }
  int error = Remover(fd.get(), path.substr(path.rfind('/') + 1)).run();
  return error == 0 ? Result<void>() : errno_error(error, "remove " + path);
}

void add_tree_usage(const std::string& path, uint64_t& bytes, uint64_t& inodes) {
  Seen seen;
  add_usage(AT_FDCWD, path.c_str(), 0, seen, bytes, inodes);
}

}  // namespace knarr::runtime
