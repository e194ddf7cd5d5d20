// Builds a container's view of the file system, in a mount namespace that is its own already.
// Three steps, in this order: gather() while the host's paths are still there, enter() to make the
// container's root the only thing there is, populate() to fill it. After enter() every path
// resolves inside the container, so no symbolic link of an image can lead out of it.
//
// Runs in the forked child of a shim. Needs Linux 5.12 (mount_setattr).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "knarr/result.h"
#include "runtime/spec.h"

namespace knarr::runtime {

class Rootfs {
 public:
  explicit Rootfs(const LaunchSpec& spec) : spec_(spec) {}

  Result<void> gather();
  Result<void> enter();
  Result<void> populate();
  // Masks, read-only paths, the root itself: last, when nothing is created any more.
  Result<void> seal();

 private:
  struct Source {
    const Mount* mount;
    base::UniqueFd tree;  // a detached copy
    bool directory;
    bool image_volume = false;
    base::UniqueFd initial;  // of an image's volume: what it begins as; invalid when nothing
  };
  struct Node {
    std::string path;
    mode_t mode;  // type and permissions
    dev_t device;
    base::UniqueFd tree;  // to bind where mknod is not allowed
    uid_t uid = 0;
    gid_t gid = 0;
  };

  Result<void> gather_views();
  Result<void> gather_mounts();
  Result<void> gather_devices();
  void gather_host_devices(const std::string& folder);
  bool user_mounts(const std::string& path) const;
  Result<void> mount_defaults();
  Result<void> mount_dev();
  Result<void> make_node(const Node& node);
  Result<void> mount_cgroups();
  void open_initial_contents();
  Result<void> attach(const Source& source);

  const LaunchSpec& spec_;
  std::vector<Source> sources_;
  std::vector<Node> nodes_;
  base::UniqueFd proc_, sys_, shm_;
  bool bind_nodes_ = false;
};

// The path with every symbolic link followed, as seen from the current root; a tail of it may not
// exist yet.
Result<std::string> resolve_links(const std::string& path);
// Every missing folder of a path, through symbolic links, dangling ones too. Answers where it is.
Result<std::string> make_folders(const std::string& path, mode_t mode);

}  // namespace knarr::runtime
