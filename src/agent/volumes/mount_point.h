// The few mounts that volumes need on the node, and safe ways below a folder. Blocking, short.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::agent {

// A tmpfs with mode 1777 at an existing folder, unless one is mounted there. size_bytes 0: no
// limit.
Result<void> mount_tmpfs(const std::string& folder, int64_t size_bytes);
Result<void> bind_mount(const std::string& from, const std::string& to);
bool is_mount_point(const std::string& path);
// mountinfo(5) writes blanks and the like as three octal digits.
std::string unescape_mountinfo(const std::string& text);
// Everything mounted at or below the folder, the outermost first.
Result<std::vector<std::string>> mounts_below(const std::string& folder);
// Of everything mounted at or below the folder, innermost first; nothing mounted is fine.
Result<void> unmount_below(const std::string& folder);

// Opens (O_PATH) what `path` names inside `root`, symbolic links resolved as if root were "/".
// Missing folders are made with this mode when create is set.
Result<base::UniqueFd> open_inside(const std::string& root, const std::string& path, bool create);

}  // namespace knarr::agent
