// SQLite behind RAII: a connection and its statements. SQLite's codes become Errors here and
// nowhere else. Used by one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::kv {

// Disk full and I/O errors are kServiceUnavailable, a damaged file kInternalError, a file in use
// kConflict; the message is "<what>: <SQLite's words>".
Error sqlite_error(sqlite3* db, int code, std::string_view what);

class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* stmt) : stmt_(stmt) {}

  // Positions count from 1. Text and blobs are borrowed until reset().
  Statement& bind(int at, int64_t value);
  Statement& bind(int at, std::string_view blob);
  Statement& bind_null(int at);

  // True: a row is there. False: done.
  Result<bool> step();
  // One step that gives no row, then reset.
  Result<void> run();
  void reset() { sqlite3_reset(stmt_.get()); }

  // Columns count from 0.
  int64_t integer(int column) const { return sqlite3_column_int64(stmt_.get(), column); }
  bool is_null(int column) const;
  std::string blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* stmt) const { sqlite3_finalize(stmt); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> stmt_;
};

// Resets a statement when its scope ends, so that no read stays open.
class ResetLater {
 public:
  explicit ResetLater(Statement& statement) : statement_(statement) {}
  ~ResetLater() { statement_.reset(); }
  ResetLater(const ResetLater&) = delete;
  ResetLater& operator=(const ResetLater&) = delete;

 private:
  Statement& statement_;
};

class Database {
 public:
  // Opens for reading and writing; the file must exist. `vfs` empty: the default one.
  static Result<Database> open(const std::string& path, const std::string& vfs);

  Result<Statement> prepare(const char* sql);
  Result<void> run(const char* sql);
  Result<int64_t> integer(const char* sql);  // the first column of the first row; 0 without rows
  Result<std::string> text(const char* sql);
  bool in_transaction() const { return sqlite3_get_autocommit(db_.get()) == 0; }
  int64_t last_insert_id() const { return sqlite3_last_insert_rowid(db_.get()); }
  sqlite3* raw() { return db_.get(); }
  Result<void> close();

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace knarr::kv
