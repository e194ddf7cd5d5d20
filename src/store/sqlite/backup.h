// A copy of the whole store while it serves, a few pages at a time. SQLite carries writes that the
// source connection makes meanwhile over into the copy, so it shows the moment it was finished.
#pragma once

#include <memory>
#include <string>

#include "store/sqlite/database.h"

namespace knarr::kv {

class Backup {
 public:
  // The path must not exist. The source must outlive this.
  static Result<std::unique_ptr<Backup>> start(Database& source, const std::string& path,
                                               const std::string& vfs);
  ~Backup();  // unfinished: leaves nothing at the path
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  // True: finished, and on disk. Not to be called again after that or after an error.
  Result<bool> step();

 private:
  explicit Backup(std::string path) : path_(std::move(path)) {}

  std::string path_;
  Database copy_;
  sqlite3_backup* handle_ = nullptr;
  bool complete_ = false;
};

}  // namespace knarr::kv
