// Overlay mounts: how many layers fit one mount(2), and how to mount where nobody else sees it.
// Blocks; any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "knarr/result.h"

namespace knarr::runtime {

struct OverlayMount {
  std::string layers_dir;          // absolute
  std::vector<std::string> lower;  // names in it, topmost first; at least one
  std::string upper;               // absolute
  std::string work;                // absolute
  bool read_only = false;
};

// The option string of mount(2); the lower directories as names relative to layers_dir or absolute.
std::string overlay_options(const OverlayMount& mount, bool relative);

// In the mount namespace of the calling thread. `target` is absolute.
Result<void> mount_overlay(const OverlayMount& mount, const std::string& target);

// Runs fn on a thread with a mount namespace of its own: what it mounts is gone when it returns.
Result<void> in_private_mount_namespace(const std::function<Result<void>()>& fn);

}  // namespace knarr::runtime
