#include "runtime/image/unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <unordered_set>

#include "base/format.h"
#include "base/unique_fd.h"
#include "runtime/image/files.h"
#include "runtime/image/tar_reader.h"
#include "runtime/image/user_namespace.h"

namespace knarr::runtime {

namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr size_t kMaxDepth = 256;
constexpr int64_t kMaxId = 0xfffffffe;

// Resolution stays below root_fd whatever links stand in the way.
base::UniqueFd open_in_root(int root_fd, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0; tries < 128; ++tries) {
    long fd = syscall(SYS_openat2, root_fd, path.empty() ? "." : path.c_str(), &how, sizeof how);
    // A rename anywhere on the machine makes a look-up with ".." uncertain: the kernel says EAGAIN.
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return base::UniqueFd(static_cast<int>(fd));
  }
  return {};
}

std::string join(const std::vector<std::string>& parts, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += (i == 0 ? "" : "/") + parts[i];
  return out;
}

timespec to_timespec(int64_t ns) {
  int64_t seconds = ns / 1'000'000'000;
  int64_t rest = ns % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  return {static_cast<time_t>(seconds), static_cast<long>(rest)};
}

class Unpacker {
 public:
  Unpacker(ByteSource& tar, int root_fd) : reader_(tar), root_fd_(root_fd) {}

  Result<void> run() {
    for (;;) {
      TarEntry entry;
      TRY_ASSIGN(bool any, reader_.next(entry));
      if (!any) return finish_directories();
      TRY(apply(entry));
    }
  }

 private:
  struct Place {
    int parent = -1;   // of the cache, valid until the next parent()
    std::string name;  // one component
    std::string path;  // in full, for messages and bookkeeping
  };

  Error failed(const char* what, const std::string& path) {
    return errno_error(errno, fmt::format("{} {}", what, path));
  }

  Result<void> apply(const TarEntry& entry);
  Result<int> parent(const std::vector<std::string>& parts);
  Result<void> make_parent(const std::vector<std::string>& parts, size_t count);
  Result<void> whiteout(const Place& place);
  Result<void> clear_lower(std::string directory);
  Result<void> clear_lower_at(int fd, const std::string& directory);
  Result<bool> make_room(const Place& place, bool for_directory);
  Result<void> create(const TarEntry& entry, const Place& place);
  Result<void> write_file(const TarEntry& entry, const Place& place);
  Result<void> write_data(const TarEntry& entry, int fd, const Place& place);
  Result<void> hard_link(const TarEntry& entry, const Place& place);
  Result<void> set_owner_and_mode(const TarEntry& entry, const Place& place);
  Result<void> set_xattrs(const TarEntry& entry, int fd, const std::string& path);
  Result<void> apply_root(const TarEntry& entry);
  Result<void> finish_directories();
  void forget_parent() {
    parent_fd_.reset();
    parent_path_.clear();
  }

  TarReader reader_;
  int root_fd_;
  base::UniqueFd parent_fd_;  // of the last entry: neighbours share it
  std::string parent_path_;
  // Of this layer, with the directories on the way: an opaque mark spares them.
  std::unordered_set<std::string> made_;
  std::vector<std::pair<std::string, int64_t>> directories_;  // times are set when all is in them
};

// An open directory for the entry's parent, made when the archive does not name it.
Result<int> Unpacker::parent(const std::vector<std::string>& parts) {
  std::string path = join(parts, parts.size() - 1);
  if (parent_fd_.valid() && path == parent_path_) return parent_fd_.get();
  base::UniqueFd fd = open_in_root(root_fd_, path, O_PATH | O_DIRECTORY);
  if (!fd.valid() && errno == ENOENT) {
    TRY(make_parent(parts, parts.size() - 1));
    fd = open_in_root(root_fd_, path, O_PATH | O_DIRECTORY);
  }
  if (!fd.valid()) return failed("open", path);
  parent_fd_ = std::move(fd);
  parent_path_ = std::move(path);
  return parent_fd_.get();
}

Result<void> Unpacker::make_parent(const std::vector<std::string>& parts, size_t count) {
  for (size_t i = 1; i <= count; ++i) {
    std::string path = join(parts, i);
    if (open_in_root(root_fd_, path, O_PATH | O_DIRECTORY).valid()) continue;
    if (errno != ENOENT) return failed("open", path);
    base::UniqueFd above = open_in_root(root_fd_, join(parts, i - 1), O_PATH | O_DIRECTORY);
    if (!above.valid()) return failed("open", join(parts, i - 1));
    if (mkdirat(above.get(), parts[i - 1].c_str(), 0755) != 0) return failed("mkdir", path);
  }
  return {};
}

Result<void> Unpacker::apply(const TarEntry& entry) {
  std::vector<std::string> parts = path_parts(entry.path);
  if (parts.size() > kMaxDepth) {
    return make_error(Code::kInvalid, "archive entry is nested too deeply: " + entry.path);
  }
  if (parts.empty()) return apply_root(entry);
  for (const std::string& part : parts) {
    if (part.size() > 255) return make_error(Code::kInvalid, "file name too long: " + entry.path);
  }
  TRY_ASSIGN(int parent_fd, parent(parts));
  Place place{parent_fd, parts.back(), join(parts, parts.size())};
  if (place.name == kOpaque) return clear_lower(parent_path_);
  if (place.name.starts_with(kWhiteoutMeta)) return {};  // aufs' own
  if (place.name.starts_with(kWhiteout)) return whiteout(place);
  if (entry.uid < 0 || entry.uid > kMaxId || entry.gid < 0 || entry.gid > kMaxId) {
    return make_error(Code::kInvalid, fmt::format("owner {}:{} of {} is out of range", entry.uid,
                                                  entry.gid, place.path));
  }
  bool device = entry.type == TarType::kCharDevice || entry.type == TarType::kBlockDevice;
  if (device && in_user_namespace()) return {};  // it could not be used there either
  // A hard link may name what its own place holds; that stays then.
  if (entry.type == TarType::kHardLink && path_parts(entry.link) == parts) return {};
  TRY_ASSIGN(bool there, make_room(place, entry.type == TarType::kDirectory));
  if (!there) TRY(create(entry, place));
  for (size_t n = parts.size(); n > 0 && made_.insert(join(parts, n)).second; --n) {
  }
  if (entry.type == TarType::kDirectory) directories_.emplace_back(place.path, entry.mtime_ns);
  return set_owner_and_mode(entry, place);
}

Result<void> Unpacker::whiteout(const Place& place) {
  std::string name = place.name.substr(kWhiteout.size());
  if (name.empty() || name == "." || name == "..") {
    return make_error(Code::kInvalid, "invalid whiteout name: " + place.path);
  }
  Result<void> removed = remove_tree_at(place.parent, name);
  std::string kept = parent_path_;
  forget_parent();
  if (!removed.ok())
    return make_error(removed.error().code, removed.error().message + " in " + kept);
  return {};
}

// An opaque directory shows nothing of the layers below.
Result<void> Unpacker::clear_lower(std::string directory) {
  base::UniqueFd fd = open_in_root(root_fd_, directory, O_RDONLY | O_DIRECTORY);
  if (!fd.valid()) return failed("open", directory);
  forget_parent();
  return clear_lower_at(fd.get(), directory);
}

Result<void> Unpacker::clear_lower_at(int fd, const std::string& directory) {
  int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = again < 0 ? nullptr : fdopendir(again);
  if (dir == nullptr) return failed("open", directory);
  std::vector<std::pair<std::string, bool>> names;
  while (dirent* item = readdir(dir)) {
    std::string name = item->d_name;
    if (name != "." && name != "..") names.emplace_back(name, item->d_type == DT_DIR);
  }
  closedir(dir);
  for (const auto& [name, is_directory] : names) {
    std::string path = directory.empty() ? name : directory + "/" + name;
    if (made_.count(path) == 0) {
      TRY(remove_tree_at(fd, name));
    } else if (is_directory) {
      base::UniqueFd child(
          openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!child.valid()) return failed("open", path);
      TRY(clear_lower_at(child.get(), path));
    }
  }
  return {};
}

// Takes away what stands in the entry's place; true when it is a directory that may stay.
Result<bool> Unpacker::make_room(const Place& place, bool for_directory) {
  struct stat st;
  if (fstatat(place.parent, place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    return failed("stat", place.path);
  }
  if (for_directory && S_ISDIR(st.st_mode)) return true;
  TRY(remove_tree_at(place.parent, place.name));
  return false;
}

Result<void> Unpacker::create(const TarEntry& entry, const Place& place) {
  const char* name = place.name.c_str();
  dev_t device = makedev(entry.device_major, entry.device_minor);
  int result = 0;
  switch (entry.type) {
    case TarType::kFile: return write_file(entry, place);
    case TarType::kHardLink: return hard_link(entry, place);
    case TarType::kDirectory: result = mkdirat(place.parent, name, 0755); break;
    case TarType::kSymlink: result = symlinkat(entry.link.c_str(), place.parent, name); break;
    case TarType::kFifo: result = mknodat(place.parent, name, S_IFIFO | 0600, 0); break;
    case TarType::kCharDevice: result = mknodat(place.parent, name, S_IFCHR | 0600, device); break;
    case TarType::kBlockDevice: result = mknodat(place.parent, name, S_IFBLK | 0600, device); break;
  }
  return result == 0 ? Result<void>() : failed("create", place.path);
}

Result<void> Unpacker::write_file(const TarEntry& entry, const Place& place) {
  base::UniqueFd fd(openat(place.parent, place.name.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return failed("create", place.path);
  TRY(write_data(entry, fd.get(), place));
  // The owner first: changing it clears set-id bits and capabilities.
  if (fchown(fd.get(), static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)) != 0) {
    return failed("chown", place.path);
  }
  if (fchmod(fd.get(), entry.mode) != 0) return failed("chmod", place.path);
  TRY(set_xattrs(entry, fd.get(), place.path));
  timespec time = to_timespec(entry.mtime_ns);
  timespec times[2] = {time, time};
  return futimens(fd.get(), times) == 0 ? Result<void>() : failed("set time of", place.path);
}

Result<void> Unpacker::write_data(const TarEntry& entry, int fd, const Place& place) {
  if (entry.sparse && ftruncate(fd, entry.size) != 0) return failed("truncate", place.path);
  std::vector<char> buffer(1 << 16);
  std::vector<TarEntry::Run> runs = entry.runs;
  if (!entry.sparse) runs.assign(1, {0, entry.size});
  for (const TarEntry::Run& run : runs) {
    if (lseek(fd, run.offset, SEEK_SET) < 0) return failed("seek", place.path);
    for (int64_t left = run.length; left > 0;) {
      size_t want =
          static_cast<size_t>(std::min<int64_t>(left, static_cast<int64_t>(buffer.size())));
      TRY_ASSIGN(size_t got, reader_.read(buffer.data(), want));
      TRY(write_all(fd, std::string_view(buffer.data(), got), place.path));
      left -= static_cast<int64_t>(got);
    }
  }
  return {};
}

Result<void> Unpacker::hard_link(const TarEntry& entry, const Place& place) {
  std::vector<std::string> parts = path_parts(entry.link);
  if (parts.empty()) return make_error(Code::kInvalid, "invalid hard link: " + place.path);
  base::UniqueFd from = open_in_root(root_fd_, join(parts, parts.size() - 1), O_PATH | O_DIRECTORY);
  if (!from.valid()) return failed("link", place.path + " to " + entry.link);
  // No AT_SYMLINK_FOLLOW: a link to a symbolic link is a link to that.
  if (linkat(from.get(), parts.back().c_str(), place.parent, place.name.c_str(), 0) != 0) {
    return failed("link", place.path + " to " + entry.link);
  }
  return {};
}

// Of everything but regular files, which have it from write_file, and hard links, which share it.
Result<void> Unpacker::set_owner_and_mode(const TarEntry& entry, const Place& place) {
  if (entry.type == TarType::kFile || entry.type == TarType::kHardLink) return {};
  const char* name = place.name.c_str();
  if (fchownat(place.parent, name, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
               AT_SYMLINK_NOFOLLOW) != 0) {
    return failed("chown", place.path);
  }
  // Right after its creation the name is no link, and nobody else is in this directory.
  if (entry.type != TarType::kSymlink && fchmodat(place.parent, name, entry.mode, 0) != 0) {
    return failed("chmod", place.path);
  }
  if (entry.type == TarType::kDirectory && !entry.xattrs.empty()) {
    base::UniqueFd fd(openat(place.parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return failed("open", place.path);
    return set_xattrs(entry, fd.get(), place.path);
  }
  timespec time = to_timespec(entry.mtime_ns);
  timespec times[2] = {time, time};
  if (utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0) {
    return failed("set time of", place.path);
  }
  return {};
}

// What the overlay itself keeps in attributes is not the archive's to say. What the file system
// does not support is left out, except capabilities, without which programs would fail later.
Result<void> Unpacker::set_xattrs(const TarEntry& entry, int fd, const std::string& path) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) continue;
    if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    bool optional = name != "security.capability" && (errno == ENOTSUP || errno == EPERM);
    if (!optional) return failed(("set attribute " + name + " of").c_str(), path);
  }
  return {};
}

Result<void> Unpacker::apply_root(const TarEntry& entry) {
  if (entry.type != TarType::kDirectory) return {};
  if (fchown(root_fd_, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)) != 0 ||
      fchmod(root_fd_, entry.mode) != 0) {
    return failed("set owner and mode of", "/");
  }
  directories_.emplace_back("", entry.mtime_ns);
  return set_xattrs(entry, root_fd_, "/");
}

Result<void> Unpacker::finish_directories() {
  for (auto it = directories_.rbegin(); it != directories_.rend(); ++it) {
    base::UniqueFd fd = open_in_root(root_fd_, it->first, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd.valid()) continue;  // a later entry replaced it
    timespec time = to_timespec(it->second);
    timespec times[2] = {time, time};
    if (futimens(fd.get(), times) != 0) return failed("set time of", it->first);
  }
  return {};
}

}  // namespace

std::vector<std::string> path_parts(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
      continue;
    }
    parts.emplace_back(part);
  }
  return parts;
}

Result<void> unpack_tar(ByteSource& tar, int root_fd) { return Unpacker(tar, root_fd).run(); }

}  // namespace knarr::runtime
