// SQLite's file system layer with faults: a budget of bytes after which the disk is full, and
// syncs that fail. Registered once under the name "faulty".
#pragma once

#include <atomic>
#include <cstdint>

namespace knarr::kv {

struct Faults {
  std::atomic<int64_t> free_bytes{INT64_MAX};  // growth left before SQLITE_FULL
  std::atomic<bool> fail_sync{false};
  std::atomic<int64_t> syncs{0};
  std::atomic<int64_t> written_bytes{0};
};

Faults& faulty_vfs();

}  // namespace knarr::kv
