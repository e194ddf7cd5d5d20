#include "store/sqlite/database.h"

#include <utility>

namespace knarr::kv {

namespace {

Code code_of(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN: return Code::kServiceUnavailable;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Code::kConflict;
    case SQLITE_PERM:
    case SQLITE_AUTH: return Code::kForbidden;
    default: return Code::kInternalError;
  }
}

}  // namespace

Error sqlite_error(sqlite3* db, int code, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  return make_error(code_of(code), std::move(message));
}

Statement& Statement::bind(int at, int64_t value) {
  sqlite3_bind_int64(stmt_.get(), at, value);
  return *this;
}

Statement& Statement::bind(int at, std::string_view blob) {
  // An empty string_view may have no data, which SQLite would take for NULL.
  sqlite3_bind_blob64(stmt_.get(), at, blob.empty() ? "" : blob.data(), blob.size(), SQLITE_STATIC);
  return *this;
}

Statement& Statement::bind_null(int at) {
  sqlite3_bind_null(stmt_.get(), at);
  return *this;
}

Result<bool> Statement::step() {
  int code = sqlite3_step(stmt_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = sqlite_error(sqlite3_db_handle(stmt_.get()), code, "store");
  sqlite3_reset(stmt_.get());
  return error;
}

Result<void> Statement::run() {
  TRY(step());
  reset();
  return {};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(stmt_.get(), column) == SQLITE_NULL;
}

std::string Statement::blob(int column) const {
  const void* data = sqlite3_column_blob(stmt_.get(), column);
  auto size = static_cast<size_t>(sqlite3_column_bytes(stmt_.get(), column));
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

Result<Database> Database::open(const std::string& path, const std::string& vfs) {
  sqlite3* raw = nullptr;
  int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                             vfs.empty() ? nullptr : vfs.c_str());
  Database db;
  db.db_.reset(raw);
  if (code != SQLITE_OK) return sqlite_error(raw, code, "open " + path);
  sqlite3_extended_result_codes(raw, 1);
  return db;
}

Result<Statement> Database::prepare(const char* sql) {
  sqlite3_stmt* stmt = nullptr;
  int code = sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, nullptr);
  if (code != SQLITE_OK) return sqlite_error(db_.get(), code, sql);
  return Statement(stmt);
}

Result<void> Database::run(const char* sql) {
  int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(db_.get(), code, sql);
  return {};
}

Result<int64_t> Database::integer(const char* sql) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY_ASSIGN(bool row, statement.step());
  return row ? statement.integer(0) : int64_t{0};
}

Result<std::string> Database::text(const char* sql) {
  TRY_ASSIGN(Statement statement, prepare(sql));
  TRY_ASSIGN(bool row, statement.step());
  return row ? statement.blob(0) : std::string();
}

Result<void> Database::close() {
  int code = sqlite3_close(db_.get());
  if (code != SQLITE_OK) return sqlite_error(db_.get(), code, "close the store");
  db_.release();
  return {};
}

}  // namespace knarr::kv
