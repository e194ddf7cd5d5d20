#include "runtime/rootfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/format.h"
#include "base/json.h"
#include "runtime/copy_contents.h"
#include "runtime/image/snapshot.h"
#include "runtime/image/user_namespace.h"

#ifndef MOUNT_ATTR_RDONLY
#include <linux/mount.h>
#endif

namespace knarr::runtime {

namespace {

struct StandardNode {
  const char* path;
  unsigned minor_of_mem;
  unsigned major_number;
};
constexpr StandardNode kNodes[] = {{"/dev/null", 3, 1},    {"/dev/zero", 5, 1},
                                   {"/dev/full", 7, 1},    {"/dev/random", 8, 1},
                                   {"/dev/urandom", 9, 1}, {"/dev/tty", 0, 5}};

Error mount_error(const std::string& what, const std::string& path) {
  return errno_error(errno, fmt::format("{} {}", what, path));
}

Result<void> mount_at(const char* type, const std::string& path, unsigned long flags,
                      const char* options) {
  TRY_ASSIGN(std::string target, make_folders(path, 0755));
  if (mount(type, target.c_str(), type, flags, options) != 0) {
    return mount_error(fmt::format("mount {} at", type), path);
  }
  return {};
}

Result<base::UniqueFd> copy_tree(const std::string& path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  if (recursive) flags |= AT_RECURSIVE;
  base::UniqueFd fd(open_tree(AT_FDCWD, path.c_str(), flags));
  if (!fd.valid()) return mount_error("open_tree", path);
  return fd;
}

Result<void> set_attributes(int fd, const char* path, unsigned flags, uint64_t attributes,
                            uint64_t propagation) {
  mount_attr attr{};
  attr.attr_set = attributes;
  attr.propagation = propagation;
  if (mount_setattr(fd, path, flags, &attr, sizeof attr) != 0) {
    return mount_error("mount_setattr", path);
  }
  return {};
}

Result<base::UniqueFd> new_mount(const char* type, unsigned attributes) {
  base::UniqueFd context(fsopen(type, FSOPEN_CLOEXEC));
  // With the name that programs look for in /proc/mounts.
  if (!context.valid() || fsconfig(context.get(), FSCONFIG_SET_STRING, "source", type, 0) != 0 ||
      fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return mount_error("make", type);
  }
  base::UniqueFd made(fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!made.valid()) return mount_error("mount", type);
  return made;
}

Result<void> attach_tree(const base::UniqueFd& tree, const std::string& path) {
  TRY_ASSIGN(std::string target, make_folders(path, 0755));
  if (move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0) return {};
  return mount_error("mount", path);
}

uint64_t propagation_of(Mount::Propagation propagation) {
  switch (propagation) {
    case Mount::Propagation::kPrivate: return MS_PRIVATE;
    case Mount::Propagation::kHostToContainer: return MS_SLAVE;
    case Mount::Propagation::kBidirectional: return MS_SHARED;
  }
  return MS_PRIVATE;
}

// An empty file to mount upon.
Result<std::string> make_file(const std::string& path) {
  TRY_ASSIGN(std::string target, resolve_links(path));
  TRY_ASSIGN(std::string folder, make_folders(target.substr(0, target.rfind('/')), 0755));
  base::UniqueFd fd(open(target.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!fd.valid() && access(target.c_str(), F_OK) != 0) return mount_error("create", path);
  return target;
}

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin < path.size()) {
    size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

}  // namespace

Result<std::string> resolve_links(const std::string& path) {
  std::vector<std::string> todo = split(path);
  std::reverse(todo.begin(), todo.end());
  std::string at;
  int links = 0;
  while (!todo.empty()) {
    std::string part = std::move(todo.back());
    todo.pop_back();
    if (part == ".") continue;
    if (part == "..") {
      at.erase(at.empty() ? 0 : at.rfind('/'));
      continue;
    }
    std::string next = at + "/" + part;
    char link[PATH_MAX];
    ssize_t n = readlink(next.c_str(), link, sizeof link - 1);
    if (n < 0) {
      at = std::move(next);
      continue;
    }
    if (++links > 255) {
      errno = ELOOP;
      return mount_error("resolve", path);
    }
    std::string target(link, static_cast<size_t>(n));
    if (target.starts_with('/')) at.clear();
    std::vector<std::string> parts = split(target);
    todo.insert(todo.end(), parts.rbegin(), parts.rend());
  }
  return at.empty() ? "/" : at;
}

Result<std::string> make_folders(const std::string& path, mode_t mode) {
  TRY_ASSIGN(std::string target, resolve_links(path));
  struct stat info;
  if (stat(target.c_str(), &info) == 0) return target;
  for (size_t slash = target.find('/', 1);; slash = target.find('/', slash + 1)) {
    std::string part = target.substr(0, slash);
    if (mkdir(part.c_str(), mode) == 0) {
      chmod(part.c_str(), mode);  // whatever the umask is
    } else if (errno != EEXIST) {
      return mount_error("mkdir", part);
    }
    if (slash == std::string::npos) return target;
  }
}

Result<void> Rootfs::gather() {
  bind_nodes_ = in_user_namespace();  // mknod is refused there
  TRY(gather_views());
  TRY(gather_mounts());
  TRY(gather_devices());
  std::string shm = spec_.shm_path.empty() ? "/dev/shm" : spec_.shm_path;
  if (Result<base::UniqueFd> tree = copy_tree(shm, false); tree.ok()) shm_ = std::move(*tree);
  return {};
}

// While the host's own are there: in a user namespace the kernel makes none for who sees none. Of
// the node's own processes, which a pod may ask for, a user has no other view than the host's.
Result<void> Rootfs::gather_views() {
  constexpr unsigned kInert = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;
  if (!user_mounts("/proc")) {
    Result<base::UniqueFd> proc = new_mount("proc", kInert);
    bool of_node = spec_.pid == NamespaceMode::kNode && in_user_namespace();
    if (!proc.ok() && of_node) proc = copy_tree("/proc", true);
    TRY_ASSIGN(proc_, std::move(proc));
  }
  if (user_mounts("/sys")) return {};
  unsigned read_only = spec_.security.privileged ? 0 : MOUNT_ATTR_RDONLY;
  TRY_ASSIGN(sys_, new_mount("sysfs", kInert | read_only));
  return {};
}

// Parents before what lies in them, else in the order of the pod.
Result<void> Rootfs::gather_mounts() {
  std::vector<const Mount*> mounts;
  for (const Mount& mount : spec_.mounts) mounts.push_back(&mount);
  for (const Mount& mount : spec_.image_volumes) mounts.push_back(&mount);
  std::stable_sort(mounts.begin(), mounts.end(), [](const Mount* a, const Mount* b) {
    return split(a->container_path).size() < split(b->container_path).size();
  });
  for (const Mount* mount : mounts) {
    struct stat info;
    if (stat(mount->host_path.c_str(), &info) != 0) {
      if (errno != ENOENT) return mount_error("stat", mount->host_path);
      TRY(make_folders(mount->host_path, 0755));
      if (stat(mount->host_path.c_str(), &info) != 0) return mount_error("stat", mount->host_path);
    }
    TRY_ASSIGN(base::UniqueFd tree, copy_tree(mount->host_path, true));
    TRY(set_attributes(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, 0,
                       propagation_of(mount->propagation)));
    if (mount->read_only) {
      unsigned depth = mount->recursive_read_only ? AT_RECURSIVE : 0;
      TRY(set_attributes(tree.get(), "", AT_EMPTY_PATH | depth, MOUNT_ATTR_RDONLY, 0));
    }
    bool of_image = std::any_of(spec_.image_volumes.begin(), spec_.image_volumes.end(),
                                [&](const Mount& v) { return &v == mount; });
    sources_.push_back(Source{mount, std::move(tree), S_ISDIR(info.st_mode), of_image, {}});
  }
  return {};
}

Result<void> Rootfs::gather_devices() {
  if (spec_.security.privileged) {
    gather_host_devices("/dev");
  } else {
    for (const StandardNode& node : kNodes) {
      nodes_.push_back(
          {node.path, S_IFCHR | 0666, makedev(node.major_number, node.minor_of_mem), {}});
    }
  }
  for (const Device& device : spec_.devices) {
    struct stat info;
    if (stat(device.host_path.c_str(), &info) != 0) return mount_error("stat", device.host_path);
    if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) {
      return make_error(Code::kInvalid, device.host_path + " is not a device node");
    }
    nodes_.push_back(
        {device.container_path, info.st_mode, info.st_rdev, {}, info.st_uid, info.st_gid});
    if (bind_nodes_) {
      TRY_ASSIGN(nodes_.back().tree, copy_tree(device.host_path, false));
    }
  }
  if (!bind_nodes_) return {};
  for (Node& node : nodes_) {
    if (node.tree.valid()) continue;
    TRY_ASSIGN(node.tree, copy_tree(node.path, false));
  }
  return {};
}

// As containerd: all nodes but those of the host's own terminals and shared folders.
void Rootfs::gather_host_devices(const std::string& folder) {
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return;
  while (dirent* entry = readdir(dir)) {
    std::string_view name = entry->d_name;
    if (name.starts_with('.') || name == "pts" || name == "shm" || name == "fd" ||
        name == "mqueue" || name == "console") {
      continue;
    }
    std::string path = folder + "/" + entry->d_name;
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) gather_host_devices(path);
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
      nodes_.push_back({path, info.st_mode, info.st_rdev, {}, info.st_uid, info.st_gid});
    }
  }
  closedir(dir);
}

Result<void> Rootfs::enter() {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return mount_error("make private", "/");
  }
  TRY_ASSIGN(json::Value text, json::parse(spec_.rootfs));
  TRY_ASSIGN(MountPlan plan, MountPlan::from_json(text));
  TRY(mount_snapshot(plan, spec_.folder, false));
  if (chdir(spec_.folder.c_str()) != 0) return mount_error("chdir", spec_.folder);
  if (syscall(SYS_pivot_root, ".", ".") != 0) return mount_error("pivot_root", spec_.folder);
  if (umount2(".", MNT_DETACH) != 0) return mount_error("umount", "the host's root");
  if (chdir("/") != 0) return mount_error("chdir", "/");
  return {};
}

bool Rootfs::user_mounts(const std::string& path) const {
  return std::any_of(spec_.mounts.begin(), spec_.mounts.end(),
                     [&](const Mount& mount) { return mount.container_path == path; });
}

// Before anything is mounted over it.
void Rootfs::open_initial_contents() {
  for (Source& source : sources_) {
    if (!source.image_volume) continue;
    source.initial.reset(
        open(source.mount->container_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
}

Result<void> Rootfs::populate() {
  open_initial_contents();
  TRY(mount_defaults());
  for (const Source& source : sources_) TRY(attach(source));
  // Nodes go into what is /dev now, unless that is the host's.
  if (!user_mounts("/dev")) {
    for (const Node& node : nodes_) TRY(make_node(node));
  }
  return {};
}

Result<void> Rootfs::mount_defaults() {
  if (!user_mounts("/proc")) TRY(attach_tree(proc_, "/proc"));
  if (!user_mounts("/dev")) TRY(mount_dev());
  if (!user_mounts("/sys")) {
    TRY(attach_tree(sys_, "/sys"));
    if (!user_mounts("/sys/fs/cgroup")) TRY(mount_cgroups());
  }
  return {};
}

Result<void> Rootfs::mount_dev() {
  TRY(mount_at("tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
  TRY(mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
               "newinstance,ptmxmode=0666,mode=0620,gid=5"));
  if (!user_mounts("/dev/shm") && shm_.valid()) {
    TRY(attach_tree(shm_, "/dev/shm"));
  }
  if (!user_mounts("/dev/mqueue")) {
    TRY(mount_at("mqueue", "/dev/mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr));
  }
  const char* links[][2] = {{"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
                            {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
                            {"/proc/kcore", "/dev/core"},       {"pts/ptmx", "/dev/ptmx"}};
  for (auto& link : links) {
    if (symlink(link[0], link[1]) != 0) return mount_error("symlink", link[1]);
  }
  return {};
}

Result<void> Rootfs::make_node(const Node& node) {
  if (node.path == "/dev/ptmx" || user_mounts(node.path)) return {};
  if (bind_nodes_) {
    TRY_ASSIGN(std::string target, make_file(node.path));
    if (move_mount(node.tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return mount_error("mount", node.path);
    }
    return {};
  }
  TRY_ASSIGN(std::string folder, make_folders(node.path.substr(0, node.path.rfind('/')), 0755));
  std::string target = folder + node.path.substr(node.path.rfind('/'));
  if (mknod(target.c_str(), node.mode, node.device) != 0 && errno != EEXIST) {
    return mount_error("mknod", node.path);
  }
  chmod(target.c_str(), node.mode & 07777);
  if (node.uid == 0 && node.gid == 0) return {};
  if (chown(target.c_str(), node.uid, node.gid) != 0) return mount_error("chown", node.path);
  return {};
}

// The view of the container's own cgroup. v1 shows each hierarchy in a folder of its own. What
// can't be shown is left out: nothing depends on it.
Result<void> Rootfs::mount_cgroups() {
  unsigned long flags = MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RELATIME;
  unsigned long view = flags | (spec_.security.privileged ? 0 : MS_RDONLY);
  if (spec_.cgroup_controllers.empty()) {
    if (!spec_.cgroup_unified.empty()) {
      mount("cgroup", "/sys/fs/cgroup", "cgroup2", view, nullptr);
    }
    return {};
  }
  if (mount("tmpfs", "/sys/fs/cgroup", "tmpfs", flags, "mode=755") != 0) return {};
  for (const std::string& controller : spec_.cgroup_controllers) {
    std::string path = "/sys/fs/cgroup/" + controller;
    if (mkdir(path.c_str(), 0755) != 0) continue;
    mount("cgroup", path.c_str(), "cgroup", view, controller.c_str());
  }
  if (!spec_.security.privileged) {
    mount(nullptr, "/sys/fs/cgroup", nullptr, MS_REMOUNT | MS_BIND | view, nullptr);
  }
  return {};
}

Result<void> Rootfs::attach(const Source& source) {
  const std::string& path = source.mount->container_path;
  TRY_ASSIGN(std::string target, source.directory ? make_folders(path, 0755) : make_file(path));
  if (move_mount(source.tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return mount_error(fmt::format("mount {} at", source.mount->host_path), path);
  }
  if (!source.initial.valid()) return {};
  base::UniqueFd volume(open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!volume.valid()) return mount_error("open", path);
  return copy_contents(source.initial.get(), volume.get());
}

namespace {

// Opened once: a path could be made to lead elsewhere between a look at it and its use, and a mount
// of the pod's may have put something else there (CVE-2025-31133).
Result<base::UniqueFd> open_null_device() {
  base::UniqueFd fd(open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0 || !S_ISCHR(info.st_mode) ||
      info.st_rdev != makedev(1, 3)) {
    return make_error(Code::kInvalid, "/dev/null of the container is not the null device");
  }
  return fd;
}

Result<void> mask_file(int null_device, const std::string& path) {
  base::UniqueFd tree(
      open_tree(null_device, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid() ||
      move_mount(tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return mount_error("mask", path);
  }
  return {};
}

}  // namespace

Result<void> Rootfs::seal() {
  for (const std::string& path : spec_.read_only_paths) {
    if (access(path.c_str(), F_OK) != 0) continue;
    if (mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
      return mount_error("bind", path);
    }
    TRY(set_attributes(AT_FDCWD, path.c_str(), AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0));
  }
  base::UniqueFd null;
  for (const std::string& path : spec_.masked_paths) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      if (mount("tmpfs", path.c_str(), "tmpfs", MS_RDONLY, "size=0k") != 0) {
        return mount_error("mask", path);
      }
      continue;
    }
    if (!null.valid()) {
      TRY_ASSIGN(null, open_null_device());
    }
    TRY(mask_file(null.get(), path));
  }
  if (!spec_.security.read_only_root) return {};
  return set_attributes(AT_FDCWD, "/", 0, MOUNT_ATTR_RDONLY, 0);
}

}  // namespace knarr::runtime
