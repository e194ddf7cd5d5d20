// Opening: lock, layout, integrity, and where the last process left off.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/format.h"
#include "store/sqlite/engine.h"
#include "store/sqlite/wal_vfs.h"

namespace knarr::kv {

namespace {

constexpr int64_t kApplicationId = 0x6b6e7272;  // "knrr"
constexpr int64_t kLayout = 1;

constexpr const char* kTables =
    "CREATE TABLE current(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL,"
    "  create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL, lease INTEGER NOT NULL);"
    "CREATE INDEX current_lease ON current(lease) WHERE lease <> 0;"
    // previous value NULL: the key did not exist before this change
    "CREATE TABLE log(id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB,"
    "  create_revision INTEGER, mod_revision INTEGER, lease INTEGER);"
    "CREATE TABLE lease(id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_ms INTEGER NOT NULL);"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;";

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const SqliteOptions& options) {
  std::unique_ptr<Engine> engine(new Engine());
  engine->options_ = options;
  TRY(engine->lock_file());
  TRY_ASSIGN(engine->db_, Database::open(options.path, wal_gathering_vfs(options.vfs)));
  Result<void> opened = engine->check_file();
  if (opened.ok()) opened = engine->configure();
  if (opened.ok()) opened = engine->create_schema();
  if (opened.ok()) opened = engine->prepare_statements();
  if (opened.ok()) opened = engine->load();
  if (!opened.ok()) {
    return make_error(opened.error().code,
                      fmt::format("open store {}: {}", options.path, opened.error().message));
  }
  return engine;
}

// An flock of our own says clearly who is in the way. It does not meet SQLite's POSIX locks on the
// same file, but closing any descriptor of a file drops those: so this one closes last.
Result<void> Engine::lock_file() {
  const std::string& path = options_.path;
  struct stat before;
  bool existed = ::stat(path.c_str(), &before) == 0;
  file_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file_.valid()) return errno_error(errno, "open store " + path);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_error(errno, "lock store " + path);
    return make_error(Code::kConflict,
                      fmt::format("open store {}: another process is using it", path));
  }
  if (::fchmod(file_.get(), 0600) != 0) return errno_error(errno, "set mode of " + path);
  if (!existed) TRY(base::sync_folder_of(path));
  return {};
}

// Only reads: a file that is damaged or not ours stays as it is.
Result<void> Engine::check_file() {
  // Exclusive: the index of the write-ahead log lives in our memory, no file is shared.
  TRY(db_.run(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY"));
  TRY(db_.run(fmt::format("PRAGMA cache_size=-{}", options_.cache_kib).c_str()));
  Result<std::string> verdict = db_.text("PRAGMA quick_check(1)");
  std::string words = verdict.ok() ? *verdict : verdict.error().message;
  if (words != "ok") {
    return make_error(
        Code::kInternalError,
        "the file is damaged, nothing was changed in it; restore a backup (" + words + ")");
  }
  TRY_ASSIGN(int64_t application, db_.integer("PRAGMA application_id"));
  TRY_ASSIGN(int64_t layout, db_.integer("PRAGMA user_version"));
  TRY_ASSIGN(int64_t tables, db_.integer("SELECT count(*) FROM sqlite_master"));
  is_new_ = application == 0 && tables == 0;
  if (is_new_) return {};
  if (application != kApplicationId) {
    return make_error(Code::kInternalError, "this is a database of something else");
  }
  if (layout == kLayout) return {};
  return make_error(
      Code::kInternalError,
      fmt::format("its layout {} is not {}: made by another version of knarr", layout, kLayout));
}

Result<void> Engine::configure() {
  if (is_new_) TRY(db_.run("PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL"));
  TRY_ASSIGN(std::string mode, db_.text("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return make_error(Code::kInternalError, "no write-ahead log on this file system: " + mode);
  }
  TRY(
      db_.run("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
              "PRAGMA journal_size_limit=8388608"));
  sqlite3_wal_hook(
      db_.raw(),
      [](void* pages, sqlite3*, const char*, int count) {
        *static_cast<int*>(pages) = count;
        return SQLITE_OK;
      },
      &wal_pages_);
  return {};
}

Result<void> Engine::create_schema() {
  if (!is_new_) return {};
  TRY(db_.run("BEGIN IMMEDIATE"));
  TRY(db_.run(kTables));
  TRY(db_.run(
      fmt::format("PRAGMA application_id={}; PRAGMA user_version={}", kApplicationId, kLayout)
          .c_str()));
  return db_.run("COMMIT");
}

Result<void> Engine::prepare_statements() {
  const std::pair<Statement*, const char*> statements[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&find_,
       "SELECT id, value, create_revision, mod_revision, lease FROM current WHERE key = ?1"},
      {&insert_,
       "INSERT INTO current(key, value, create_revision, mod_revision, lease)"
       " VALUES(?1, ?2, ?3, ?3, ?4)"},
      {&update_, "UPDATE current SET value = ?2, mod_revision = ?3, lease = ?4 WHERE id = ?1"},
      {&delete_, "DELETE FROM current WHERE id = ?1"},
      {&log_, "INSERT INTO log VALUES(?1, ?2, ?3, ?4, ?5, ?6)"},
      {&range_,
       "SELECT key, value, create_revision, mod_revision, lease FROM current"
       " WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3"},
      {&range_keys_,
       "SELECT key, NULL, create_revision, mod_revision, lease FROM current"
       " WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3"},
      {&count_, "SELECT count(*) FROM current WHERE key >= ?1 AND key < ?2"},
      {&log_from_,
       "SELECT id, key, value, create_revision, mod_revision, lease FROM log"
       " WHERE id >= ?1 AND key >= ?2 AND key < ?3 ORDER BY id DESC"},
      {&leased_, "SELECT key FROM current WHERE lease = ?1 AND lease <> 0 ORDER BY key"},
      {&grant_, "INSERT INTO lease(ttl_ms) VALUES(?1)"},
      {&revoke_, "DELETE FROM lease WHERE id = ?1"},
      {&set_meta_,
       "INSERT INTO meta VALUES(CAST(?1 AS TEXT), ?2)"
       " ON CONFLICT(name) DO UPDATE SET value = ?2"},
      {&trim_, "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE id < ?1 LIMIT ?2)"},
  };
  for (auto [statement, sql] : statements) {
    TRY_ASSIGN(*statement, db_.prepare(sql));
  }
  return {};
}

Result<void> Engine::load() {
  TRY_ASSIGN(int64_t newest, db_.integer("SELECT max(id) FROM log"));
  TRY_ASSIGN(int64_t oldest, db_.integer("SELECT min(id) FROM log"));
  TRY_ASSIGN(compacted_, db_.integer("SELECT value FROM meta WHERE name = 'compacted'"));
  TRY_ASSIGN(reserved_, db_.integer("SELECT value FROM meta WHERE name = 'reserved'"));
  revision_ = std::max({Revision{1}, newest >> kPlaceBits, compacted_, reserved_});
  vacuum_due_ = true;
  trim_due_ = oldest > 0 && oldest < log_id(compacted_ + 1);
  TRY_ASSIGN(std::vector<LeaseRow> rows, leases());
  for (const LeaseRow& row : rows) leases_.insert(row.lease);
  return {};
}

Result<std::vector<LeaseRow>> Engine::leases() {
  TRY_ASSIGN(Statement statement, db_.prepare("SELECT id, ttl_ms FROM lease"));
  std::vector<LeaseRow> rows;
  for (;;) {
    TRY_ASSIGN(bool more, statement.step());
    if (!more) return rows;
    rows.push_back({statement.integer(0), statement.integer(1)});
  }
}

}  // namespace knarr::kv
