#include "store/sqlite/backup.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/unique_fd.h"

namespace knarr::kv {

namespace {

constexpr int kStepPages = 256;

}  // namespace

Result<std::unique_ptr<Backup>> Backup::start(Database& source, const std::string& path,
                                              const std::string& vfs) {
  base::UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) return errno_error(errno, "back up to " + path);
  std::unique_ptr<Backup> backup(new Backup(path));
  TRY_ASSIGN(backup->copy_, Database::open(path, vfs));
  backup->handle_ = sqlite3_backup_init(backup->copy_.raw(), "main", source.raw(), "main");
  if (backup->handle_ == nullptr) {
    return sqlite_error(backup->copy_.raw(), SQLITE_ERROR, "back up to " + path);
  }
  return backup;
}

Backup::~Backup() {
  if (handle_ != nullptr) sqlite3_backup_finish(handle_);
  copy_ = Database();
  if (!complete_) ::unlink(path_.c_str());
}

Result<bool> Backup::step() {
  int code = sqlite3_backup_step(handle_, kStepPages);
  if (code == SQLITE_OK) return false;
  int finished = sqlite3_backup_finish(std::exchange(handle_, nullptr));
  if (code != SQLITE_DONE || finished != SQLITE_OK) {
    return sqlite_error(copy_.raw(), code, "back up to " + path_);
  }
  TRY(copy_.close());
  TRY(base::sync_folder_of(path_));
  complete_ = true;
  return true;
}

}  // namespace knarr::kv
