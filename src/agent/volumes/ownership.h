// Gives files of a volume to its pod's fsGroup. Pods write below these paths while this runs: what
// is changed is always what was looked at, by descriptor, and no link is followed.
#pragma once

#include <cstdint>
#include <string>

#include "knarr/result.h"

namespace knarr::agent {

struct Ownership {
  int64_t group = -1;      // fsGroup; -1: left alone
  bool read_only = false;  // what a group member gets: 0440 or 0660
};

// Gives a file or folder (not what is below it) to the group: mode widened, setgid on folders. A
// link is left alone.
Result<void> give_to_group(const std::string& path, const Ownership& owner);

// And all that is below it; the root last: it says that the rest is done. The root itself may be a
// link. What goes away meanwhile is passed over.
Result<void> give_tree_to_group(const std::string& root, const Ownership& owner);

}  // namespace knarr::agent
