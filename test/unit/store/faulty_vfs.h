// SQLite's file system layer with faults: a budget of bytes after which the disk is full, syncs
// that fail, power cuts. Registered once under the name "faulty".
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "knarr/random.h"

namespace knarr::kv {

struct Faults {
  std::atomic<int64_t> free_bytes{INT64_MAX};  // growth left before SQLITE_FULL
  std::atomic<bool> fail_sync{false};
  std::atomic<int64_t> syncs{0};
  std::atomic<int64_t> written_bytes{0};
  std::atomic<bool> record{false};  // for power_cut(); syncs are then only noted
};

Faults& faulty_vfs();

// The files of a directory as a disk may hold them when the power fails now: all that was synced,
// and of what was written since, any part, sector by sector. By path. From any thread.
std::map<std::string, std::string> power_cut(Random& random, const std::string& directory);

}  // namespace knarr::kv
