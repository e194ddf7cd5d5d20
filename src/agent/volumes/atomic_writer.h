// Writes a volume's files so that a reader sees either all of the old or all of the new ones: they
// live in a folder named for a time ("..2026_01_02_03_04_05.123456789"), a symbolic link "..data"
// points at it and is replaced by rename, and each top-level name is a link into "..data". The
// layout is the kubelet's, and containers rely on it.
#pragma once

#include <string>

#include "agent/volumes/ownership.h"
#include "agent/volumes/payload.h"
#include "knarr/result.h"

namespace knarr::agent {

// Does nothing when the files are as they should be. now_us names the folder.
Result<void> write_payload(const std::string& folder, const Payload& payload,
                           const Ownership& owner, int64_t now_us);

}  // namespace knarr::agent
