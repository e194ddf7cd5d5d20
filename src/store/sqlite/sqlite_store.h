// The default store: one SQLite file, written by a commit thread that takes everything queued while
// the last fsync ran as one transaction. This header is the loop thread's side.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/loop.h"
#include "knarr/kv_store.h"

namespace knarr::kv {

struct SqliteOptions {
  std::string path;
  Options options;
  int64_t cache_kib = 1024;         // of database pages, in memory
  int64_t checkpoint_pages = 1000;  // the write-ahead log is moved into the file past this size
  std::string vfs;                  // SQLite's name of a file system layer; empty: the usual one
};

// Opens or creates the store; blocks (it checks the whole file). Errors: kConflict when another
// process has it open, kInternalError when it is damaged, both naming the file.
Result<std::unique_ptr<Store>> open_sqlite(base::Loop& loop, SqliteOptions options);

}  // namespace knarr::kv
