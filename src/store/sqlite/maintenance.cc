// What keeps the file small: compaction of the log, vacuum, checkpoints. In small steps, so that
// writes never wait long behind them.
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "store/request_check.h"
#include "store/sqlite/engine.h"

namespace knarr::kv {

namespace {

constexpr int64_t kTrimRows = 500;    // log rows a step deletes
constexpr int64_t kVacuumPages = 64;  // pages a step gives back

}  // namespace

Result<Revision> Engine::compact(Revision revision) {
  if (revision > revision_) return future_error(revision, revision_);
  if (revision <= compacted_) return Revision{compacted_};
  TRY(set_meta_.bind(1, std::string_view("compacted")).bind(2, revision).run());
  compacted_ = revision;
  trim_due_ = true;
  return Revision{revision};
}

bool Engine::maintain() {
  Result<bool> more = false;
  if (trim_due_) {
    more = compact_step();
    trim_due_ = more.ok() && *more;
    vacuum_due_ = more.ok() && !*more;
  } else if (vacuum_due_) {
    more = vacuum_step();
    vacuum_due_ = more.ok() && *more;
  }
  if (!more.ok()) {
    base::log(base::Level::kWarning, "store", "maintenance put off: {}", more.error().message);
  }
  return trim_due_ || vacuum_due_;
}

Result<bool> Engine::compact_step() {
  TRY(trim_.bind(1, log_id(compacted_ + 1)).bind(2, kTrimRows).run());
  return sqlite3_changes64(db_.raw()) == kTrimRows;
}

// Free pages are used again by later writes, so only a file that is mostly free shrinks.
Result<bool> Engine::vacuum_step() {
  TRY_ASSIGN(int64_t free_pages, db_.integer("PRAGMA freelist_count"));
  TRY_ASSIGN(int64_t pages, db_.integer("PRAGMA page_count"));
  if (free_pages < 2 * kVacuumPages || free_pages < pages / 4) return false;
  TRY(db_.run(fmt::format("PRAGMA incremental_vacuum({})", kVacuumPages).c_str()));
  return true;
}

void Engine::checkpoint_if_due() {
  if (wal_pages_ < options_.checkpoint_pages) return;
  int code =
      sqlite3_wal_checkpoint_v2(db_.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK) {
    base::log(base::Level::kWarning, "store", "checkpoint put off: {}",
              sqlite_error(db_.raw(), code, options_.path).message);
  }
  wal_pages_ = 0;
}

Result<void> Engine::backup_start(const std::string& path) {
  if (backup_) return make_error(Code::kConflict, "back up to " + path + ": one is running");
  TRY_ASSIGN(backup_, Backup::start(db_, path, options_.vfs));
  return {};
}

Result<bool> Engine::backup_step() {
  Result<bool> finished = backup_->step();
  if (!finished.ok() || *finished) backup_.reset();
  return finished;
}

Result<void> Engine::close() {
  if (db_.raw() == nullptr) return {};
  backup_.reset();
  // Without volatile writes in between, the next process goes on at the very next revision.
  if (reserved_ > revision_) {
    TRY(set_meta_.bind(1, std::string_view("reserved")).bind(2, revision_).run());
  }
  for (Statement* statement :
       {&begin_, &commit_, &find_, &insert_, &update_, &delete_, &log_, &range_, &range_keys_,
        &count_, &log_from_, &leased_, &grant_, &revoke_, &set_meta_, &trim_}) {
    *statement = Statement();
  }
  Result<void> closed = db_.close();
  file_.reset();
  return closed;
}

}  // namespace knarr::kv
