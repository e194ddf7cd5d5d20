// What is gathered has not happened as far as the layer below knows. An error of a gathered write
// shows up at the sync, before SQLite counts the frames as committed.
#include "store/sqlite/wal_vfs.h"

#include <sqlite3.h>

#include <cstring>
#include <memory>
#include <mutex>

namespace knarr::kv {

namespace {

constexpr size_t kMostBytes = 64 * 1024;  // SQLite's unix layer takes less than 128 KiB at a time
constexpr size_t kKeptBytes = 32 * 1024;  // of memory, between commits

// SQLite allocates it, and the file of the layer below right behind it.
struct File {
  sqlite3_file base;
  std::string* gathered;
  sqlite3_int64 at;  // where the gathered bytes belong

  sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  const sqlite3_io_methods& do_below() { return *below()->pMethods; }

  int flush() {
    if (gathered->empty()) return SQLITE_OK;
    int code = do_below().xWrite(below(), gathered->data(), static_cast<int>(gathered->size()), at);
    gathered->clear();
    if (gathered->capacity() > kKeptBytes) *gathered = std::string();
    return code;
  }
};

File& file_of(sqlite3_file* f) { return *reinterpret_cast<File*>(f); }

int do_write(sqlite3_file* f, const void* bytes, int size, sqlite3_int64 at) {
  File& file = file_of(f);
  auto more = static_cast<size_t>(size);
  size_t before = file.gathered->size();
  if (before > 0 &&
      (file.at + static_cast<sqlite3_int64>(before) != at || before + more > kMostBytes)) {
    if (int code = file.flush(); code != SQLITE_OK) return code;
  }
  if (file.gathered->empty()) file.at = at;
  file.gathered->append(static_cast<const char*>(bytes), more);
  return SQLITE_OK;
}

// Everything else flushes first, where it could tell that something is missing.
int do_read(sqlite3_file* f, void* bytes, int size, sqlite3_int64 at) {
  File& file = file_of(f);
  if (int code = file.flush(); code != SQLITE_OK) return code;
  return file.do_below().xRead(file.below(), bytes, size, at);
}

int do_sync(sqlite3_file* f, int flags) {
  File& file = file_of(f);
  if (int code = file.flush(); code != SQLITE_OK) return code;
  return file.do_below().xSync(file.below(), flags);
}

int do_truncate(sqlite3_file* f, sqlite3_int64 size) {
  File& file = file_of(f);
  if (int code = file.flush(); code != SQLITE_OK) return code;
  return file.do_below().xTruncate(file.below(), size);
}

int do_file_size(sqlite3_file* f, sqlite3_int64* size) {
  File& file = file_of(f);
  if (int code = file.flush(); code != SQLITE_OK) return code;
  return file.do_below().xFileSize(file.below(), size);
}

int do_close(sqlite3_file* f) {
  File& file = file_of(f);
  int flushed = file.flush();
  delete file.gathered;
  int closed = file.do_below().xClose(file.below());
  return flushed != SQLITE_OK ? flushed : closed;
}

int do_lock(sqlite3_file* f, int level) {
  return file_of(f).do_below().xLock(file_of(f).below(), level);
}
int do_unlock(sqlite3_file* f, int level) {
  return file_of(f).do_below().xUnlock(file_of(f).below(), level);
}
int do_check_lock(sqlite3_file* f, int* out) {
  return file_of(f).do_below().xCheckReservedLock(file_of(f).below(), out);
}
int do_control(sqlite3_file* f, int operation, void* argument) {
  return file_of(f).do_below().xFileControl(file_of(f).below(), operation, argument);
}
int do_sector_size(sqlite3_file* f) {
  return file_of(f).do_below().xSectorSize(file_of(f).below());
}
int do_characteristics(sqlite3_file* f) {
  return file_of(f).do_below().xDeviceCharacteristics(file_of(f).below());
}

sqlite3_io_methods make_methods() {
  sqlite3_io_methods methods{};
  methods.iVersion = 1;  // shared memory and mapping are for database files
  methods.xClose = do_close;
  methods.xRead = do_read;
  methods.xWrite = do_write;
  methods.xTruncate = do_truncate;
  methods.xSync = do_sync;
  methods.xFileSize = do_file_size;
  methods.xLock = do_lock;
  methods.xUnlock = do_unlock;
  methods.xCheckReservedLock = do_check_lock;
  methods.xFileControl = do_control;
  methods.xSectorSize = do_sector_size;
  methods.xDeviceCharacteristics = do_characteristics;
  return methods;
}

// Registered under a name of its own. pAppData stays what the layer below looks for in it: some of
// its functions are called with this layer.
struct Layer {
  sqlite3_vfs vfs;
  sqlite3_vfs* below;
};

int do_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  static const sqlite3_io_methods methods = make_methods();
  sqlite3_vfs* below = reinterpret_cast<Layer*>(vfs)->below;
  if ((flags & SQLITE_OPEN_WAL) == 0) return below->xOpen(below, name, f, flags, out_flags);
  File& file = file_of(f);
  file.base.pMethods = nullptr;
  file.below()->pMethods = nullptr;
  int code = below->xOpen(below, name, file.below(), flags, out_flags);
  if (code != SQLITE_OK) {
    if (file.below()->pMethods != nullptr) file.do_below().xClose(file.below());
    return code;
  }
  file.gathered = new std::string;
  file.at = 0;
  file.base.pMethods = &methods;
  return SQLITE_OK;
}

}  // namespace

std::string wal_gathering_vfs(const std::string& below) {
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  sqlite3_vfs* base = sqlite3_vfs_find(below.empty() ? nullptr : below.c_str());
  if (base == nullptr) return below;  // opening will say so
  std::string name = std::string("knarr-") + base->zName;
  if (sqlite3_vfs_find(name.c_str()) != nullptr) return name;
  // SQLite's list holds on to it: a copy of the layer below, but for opening.
  auto layer = std::make_unique<Layer>(Layer{*base, base});
  layer->vfs.zName = strdup(name.c_str());
  layer->vfs.pNext = nullptr;
  layer->vfs.szOsFile = static_cast<int>(sizeof(File)) + base->szOsFile;
  layer->vfs.xOpen = do_open;
  if (sqlite3_vfs_register(&layer->vfs, 0) != SQLITE_OK) return below;
  layer.release();
  return name;
}

}  // namespace knarr::kv
