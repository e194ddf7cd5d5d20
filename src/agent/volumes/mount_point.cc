#include "agent/volumes/mount_point.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "base/format.h"

namespace knarr::agent {

namespace {

int open_in_root(int root, const std::string& path, uint64_t flags) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

}  // namespace

std::string unescape_mountinfo(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out +=
          static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<void> mount_tmpfs(const std::string& folder, int64_t size_bytes) {
  if (is_mount_point(folder)) return {};
  std::string options = size_bytes > 0 ? fmt::format("mode=1777,size={}", size_bytes) : "mode=1777";
  if (mount("tmpfs", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    return errno_error(errno, "mount tmpfs at " + folder);
  }
  return {};
}

Result<void> bind_mount(const std::string& from, const std::string& to) {
  if (mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return errno_error(errno, "bind mount " + from + " at " + to);
  }
  return {};
}

bool is_mount_point(const std::string& path) {
  struct statx st = {};
  if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, 0, &st) != 0) return false;
  return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<std::vector<std::string>> mounts_below(const std::string& folder) {
  TRY_ASSIGN(std::string table, base::read_file("/proc/self/mountinfo"));
  std::vector<std::string> points;
  std::istringstream in(table);
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string skip, point;
    fields >> skip >> skip >> skip >> skip >> point;
    point = unescape_mountinfo(point);
    if (point == folder || point.rfind(folder + "/", 0) == 0) points.push_back(point);
  }
  return points;
}

Result<void> unmount_below(const std::string& folder) {
  TRY_ASSIGN(std::vector<std::string> points, mounts_below(folder));
  // A later mount lies on an earlier one: undone in reverse.
  std::reverse(points.begin(), points.end());
  for (const std::string& point : points) {
    if (umount2(point.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0 && errno != EINVAL) {
      return errno_error(errno, "unmount " + point);
    }
  }
  return {};
}

namespace {

// Whoever may write to the volume may write there, whatever the umask is.
Result<void> make_folder_like(int root, int parent, const std::string& name) {
  struct stat st;
  if (fstat(root, &st) != 0) return errno_error(errno, "stat");
  mode_t mode = st.st_mode & (S_ISGID | 0777);
  if (mkdirat(parent, name.c_str(), mode) != 0) {
    return errno == EEXIST ? Result<void>() : errno_error(errno, "mkdir " + name);
  }
  base::UniqueFd made(open_in_root(parent, name, O_RDONLY | O_DIRECTORY));
  if (!made.valid() || fchmod(made.get(), mode) != 0) return errno_error(errno, "chmod " + name);
  return {};
}

}  // namespace

Result<base::UniqueFd> open_inside(const std::string& root, const std::string& path, bool create) {
  base::UniqueFd at(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at.valid()) return errno_error(errno, "open " + root);
  if (create) {
    for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
      std::string part = path.substr(0, slash);
      size_t cut = part.rfind('/');
      std::string parent = cut == std::string::npos ? "." : part.substr(0, cut + 1);
      std::string name = cut == std::string::npos ? part : part.substr(cut + 1);
      base::UniqueFd folder(open_in_root(at.get(), parent, O_PATH | O_DIRECTORY));
      if (!folder.valid()) return errno_error(errno, "open " + root + "/" + parent);
      if (!name.empty()) TRY(make_folder_like(at.get(), folder.get(), name));
      if (slash == std::string::npos) break;
    }
  }
  base::UniqueFd fd(open_in_root(at.get(), path, O_PATH));
  if (!fd.valid()) return errno_error(errno, "open " + root + "/" + path);
  return fd;
}

}  // namespace knarr::agent
