// SQLite writes a frame of its write-ahead log as two small pieces, and a commit is several frames.
// A file system layer that gathers adjacent pieces and hands them on as one write, before the sync
// that makes them durable or anything that would see them missing. All other files are not touched.
#pragma once

#include <string>

namespace knarr::kv {

// The name of the layer on top of the one named (empty: the usual one). Made when first asked for;
// like all of SQLite's layers it lives as long as the process. Any thread.
std::string wal_gathering_vfs(const std::string& below);

}  // namespace knarr::kv
