#include "faulty_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>

namespace knarr::kv {

namespace {

Faults faults;
sqlite3_vfs* real;

struct File {
  sqlite3_file base;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* file(sqlite3_file* f) { return reinterpret_cast<File*>(f); }
sqlite3_file* inner(sqlite3_file* f) { return file(f)->inner(); }

int do_write(sqlite3_file* f, const void* data, int n, sqlite3_int64 at) {
  sqlite3_int64 size = 0;
  inner(f)->pMethods->xFileSize(inner(f), &size);
  int64_t growth = std::max<int64_t>(0, at + n - size);
  if (growth > faults.free_bytes) return SQLITE_FULL;
  if (faults.free_bytes != INT64_MAX) faults.free_bytes -= growth;
  faults.written_bytes += n;
  return inner(f)->pMethods->xWrite(inner(f), data, n, at);
}

int do_sync(sqlite3_file* f, int flags) {
  ++faults.syncs;
  return faults.fail_sync ? SQLITE_IOERR_FSYNC : inner(f)->pMethods->xSync(inner(f), flags);
}

#define FORWARD(name, params, args) \
  int do_##name params { return inner(f)->pMethods->name args; }
FORWARD(xClose, (sqlite3_file * f), (inner(f)))
FORWARD(xRead, (sqlite3_file * f, void* p, int n, sqlite3_int64 at), (inner(f), p, n, at))
FORWARD(xTruncate, (sqlite3_file * f, sqlite3_int64 n), (inner(f), n))
FORWARD(xFileSize, (sqlite3_file * f, sqlite3_int64* n), (inner(f), n))
FORWARD(xLock, (sqlite3_file * f, int l), (inner(f), l))
FORWARD(xUnlock, (sqlite3_file * f, int l), (inner(f), l))
FORWARD(xCheckReservedLock, (sqlite3_file * f, int* r), (inner(f), r))
FORWARD(xFileControl, (sqlite3_file * f, int op, void* p), (inner(f), op, p))
FORWARD(xSectorSize, (sqlite3_file * f), (inner(f)))
FORWARD(xDeviceCharacteristics, (sqlite3_file * f), (inner(f)))
#undef FORWARD

// Version 1: no shared memory, which exclusive locking does not need.
const sqlite3_io_methods methods = {1,
                                    do_xClose,
                                    do_xRead,
                                    do_write,
                                    do_xTruncate,
                                    do_sync,
                                    do_xFileSize,
                                    do_xLock,
                                    do_xUnlock,
                                    do_xCheckReservedLock,
                                    do_xFileControl,
                                    do_xSectorSize,
                                    do_xDeviceCharacteristics,
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    nullptr,
                                    nullptr};

int do_open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out) {
  std::memset(f, 0, sizeof(File));
  int code = real->xOpen(real, name, inner(f), flags, out);
  if (code == SQLITE_OK) f->pMethods = &methods;
  return code;
}

}  // namespace

Faults& faulty_vfs() {
  static sqlite3_vfs vfs;
  if (real == nullptr) {
    real = sqlite3_vfs_find(nullptr);
    vfs = *real;
    vfs.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
    vfs.zName = "faulty";
    vfs.xOpen = do_open;
    sqlite3_vfs_register(&vfs, 0);
  }
  return faults;
}

}  // namespace knarr::kv
