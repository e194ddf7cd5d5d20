// Who a container's process is: the image's user or the pod's security context, looked up in the
// /etc/passwd and /etc/group of the container's root file system. Those are outside bytes: they are
// opened without ever leaving the root, and read up to a limit. Blocks; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "knarr/runtime.h"

namespace knarr::runtime {

struct Identity {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary, sorted, each once
  std::string home = "/";        // for $HOME
};

// From the texts of passwd and group. `image_user` is the image config's user.
Result<Identity> resolve_identity(std::string_view passwd, std::string_view group,
                                  const std::string& image_user, const SecurityContext& security);

// `rootfs_fd` is an open directory. Absent files are empty ones.
Result<Identity> resolve_identity_in(int rootfs_fd, const std::string& image_user,
                                     const SecurityContext& security);

// At most `limit_bytes` of a regular file inside the root, symbolic links followed within it.
// kNotFound when absent.
Result<std::string> read_file_in_root(int rootfs_fd, const std::string& path, size_t limit_bytes);

}  // namespace knarr::runtime
