// Writes a volume's files so that a reader sees either all of the old or all of the new ones: they
// live in a folder named for a time ("..2026_01_02_03_04_05.123456789"), a symbolic link "..data"
// points at it and is replaced by rename, and each top-level name is a link into "..data". The
// layout is the kubelet's, and containers rely on it.
#pragma once

#include <string>

#include "agent/volumes/payload.h"
#include "knarr/result.h"

namespace knarr::agent {

struct Ownership {
  int64_t group = -1;      // fsGroup; -1: left alone
  bool read_only = false;  // what a group member gets: 0440 or 0660
};

// Does nothing when the files are as they should be. now_us names the folder.
Result<void> write_payload(const std::string& folder, const Payload& payload,
                           const Ownership& owner, int64_t now_us);

// Gives a file or folder (not what is below it) to the group: mode widened, setgid on folders.
Result<void> give_to_group(const std::string& path, const Ownership& owner);

}  // namespace knarr::agent
