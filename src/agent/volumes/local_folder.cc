#include "agent/volumes/local_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "agent/volumes/mount_point.h"
#include "base/unique_fd.h"
#include "knarr/names.h"
#include "runtime/image/files.h"

namespace knarr::agent {

namespace {

constexpr size_t kMostOfName = 200;  // whose beginning, with the volume's uid, tells it from others
constexpr const char* kProvisionedBy = "pv.kubernetes.io/provisioned-by";

bool is_entry_name(std::string_view name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

Result<std::vector<std::string>> entries_of(int folder, const std::string& path) {
  DIR* dir = fdopendir(fcntl(folder, F_DUPFD_CLOEXEC, 0));
  if (dir == nullptr) return errno_error(errno, "list " + path);
  std::vector<std::string> names;
  while (dirent* entry = readdir(dir)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(dir);
  return names;
}

// Where a directory is until it has its mode: who finds it at its place changes nothing about it.
std::string aside_of(const std::string& path) {
  size_t name = path.rfind('/') + 1;
  return path.substr(0, name) + "." + path.substr(name, kMostOfName) + ".new";
}

// Never over another, even an empty one: a pod may have it mounted.
bool move_into_place(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  // A file system that knows no such thing (rename(2)).
  return errno == EINVAL && mkdir(to.c_str(), 0777) == 0 && chmod(to.c_str(), 0777) == 0 &&
         rmdir(from.c_str()) == 0;
}

}  // namespace

bool is_local_folder(const json::Value& volume, const std::string& node) {
  const json::Value& meta = volume["metadata"];
  std::string_view by = meta["annotations"][kProvisionedBy].as_string();
  return (by == kLocalProvisioner || by == kLocalProvisionerAlias) &&
         meta["labels"][kLocalStorageNodeLabel].as_string() == node;
}

Result<std::string> local_folder_name(const json::Value& volume, const std::string& root) {
  const json::Value& spec = volume["spec"];
  std::string path = spec[spec.has("local") ? "local" : "hostPath"]["path"].text();
  std::string name = volume["metadata"]["name"].text();
  bool inside = path.starts_with(root + "/");
  std::string entry = inside ? path.substr(root.size() + 1) : "";
  if (!is_entry_name(entry)) {
    return make_error(Code::kForbidden,
                      "path \"" + path +
                          "\" is not a directory of this node's folder for local volumes, " + root);
  }
  if (entry != name && !entry.starts_with(name + "_")) {
    return make_error(Code::kForbidden,
                      "directory \"" + entry + "\" does not belong to volume " + name);
  }
  return entry;
}

Result<void> make_local_folder(const std::string& path) {
  struct stat st {};
  if (lstat(path.c_str(), &st) == 0) return {};
  std::string aside = aside_of(path);
  if (mkdir(aside.c_str(), 0777) != 0 && errno != EEXIST)
    return errno_error(errno, "mkdir " + path);
  // Whatever the umask is.
  bool made = chmod(aside.c_str(), 0777) == 0 && move_into_place(aside, path);
  if (made) return {};
  int error = errno;
  rmdir(aside.c_str());
  // Another pod's thread was here.
  return lstat(path.c_str(), &st) == 0 ? Result<void>() : errno_error(error, "make " + path);
}

Result<void> remove_local_folder(const std::string& root, const std::string& name) {
  std::string path = root + "/" + name;
  if (!is_entry_name(name)) return make_error(Code::kForbidden, "not removed: " + path);
  TRY_ASSIGN(std::vector<std::string> mounts, mounts_below(path));
  if (!mounts.empty()) return make_error(Code::kConflict, "something is mounted at " + mounts[0]);
  base::UniqueFd parent(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid()) return errno_error(errno, "open " + root);
  // What a crash left of its making.
  unlinkat(parent.get(), aside_of("/" + name).c_str() + 1, AT_REMOVEDIR);
  base::UniqueFd folder(
      openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid() && errno == ENOENT) return {};
  // A link or a file in its place: that alone.
  bool other = !folder.valid() && (errno == ENOTDIR || errno == ELOOP);
  if (other) return runtime::remove_tree_at(parent.get(), name);
  if (!folder.valid()) return errno_error(errno, "open " + path);
  struct statx info {};
  if (statx(folder.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &info) != 0) {
    return errno_error(errno, "stat " + path);
  }
  // By whatever links the folder is reached.
  if ((info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
    return make_error(Code::kConflict, "something is mounted at " + path);
  }
  // What lies too deep is moved up meanwhile: within the directory.
  TRY_ASSIGN(std::vector<std::string> entries, entries_of(folder.get(), path));
  for (const std::string& entry : entries) TRY(runtime::remove_tree_at(folder.get(), entry));
  if (unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return errno_error(errno, "remove " + path);
  }
  return {};
}

}  // namespace knarr::agent
