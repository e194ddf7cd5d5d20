#include "faulty_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

namespace knarr::kv {

namespace {

Faults faults;
sqlite3_vfs* real;

// What a disk has of a file: its content as of the last sync, and what was written since.
struct Disk {
  struct Write {
    size_t at;
    std::string data;
    bool truncate;
  };
  std::string synced;
  std::vector<Write> since;
};

std::mutex mutex;
std::map<std::string, Disk> disks;  // by path; guarded by mutex

void apply(std::string& content, const Disk::Write& write) {
  if (write.truncate) {
    content.resize(std::min(content.size(), write.at));
    return;
  }
  content.resize(std::max(content.size(), write.at + write.data.size()));
  content.replace(write.at, write.data.size(), write.data);
}

void note(const char* path, Disk::Write write) {
  if (!faults.record || path == nullptr) return;
  std::lock_guard<std::mutex> lock(mutex);
  disks[path].since.push_back(std::move(write));
}

struct File {
  sqlite3_file base;
  const char* path;  // SQLite keeps it while the file is open
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
  note(file(f)->path,
       {static_cast<size_t>(at), {static_cast<const char*>(data), static_cast<size_t>(n)}, false});
  return inner(f)->pMethods->xWrite(inner(f), data, n, at);
}

int do_sync(sqlite3_file* f, int flags) {
  ++faults.syncs;
  if (faults.record && file(f)->path != nullptr) {
    std::lock_guard<std::mutex> lock(mutex);
    Disk& disk = disks[file(f)->path];
    for (const Disk::Write& write : disk.since) apply(disk.synced, write);
    disk.since.clear();
    return SQLITE_OK;
  }
  return faults.fail_sync ? SQLITE_IOERR_FSYNC : inner(f)->pMethods->xSync(inner(f), flags);
}

int do_xTruncate(sqlite3_file* f, sqlite3_int64 n) {
  note(file(f)->path, {static_cast<size_t>(n), {}, true});
  return inner(f)->pMethods->xTruncate(inner(f), n);
}

int do_delete(sqlite3_vfs*, const char* path, int sync_directory) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    disks.erase(path);
  }
  return real->xDelete(real, path, sync_directory);
}

#define FORWARD(name, params, args) \
  int do_##name params { return inner(f)->pMethods->name args; }
FORWARD(xClose, (sqlite3_file * f), (inner(f)))
FORWARD(xRead, (sqlite3_file * f, void* p, int n, sqlite3_int64 at), (inner(f), p, n, at))
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
  file(f)->path = name;
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
    vfs.xDelete = do_delete;
    sqlite3_vfs_register(&vfs, 0);
  }
  return faults;
}

std::map<std::string, std::string> power_cut(Random& random, const std::string& directory) {
  constexpr size_t kSector = 512;
  std::lock_guard<std::mutex> lock(mutex);
  std::map<std::string, std::string> files;
  for (const auto& [path, disk] : disks) {
    if (!path.starts_with(directory + "/")) continue;
    std::string content = disk.synced;
    uint64_t kept = random.below(4);  // of four sectors: none, few, most
    for (const Disk::Write& write : disk.since) {
      if (write.truncate) {
        if (random.below(2) == 0) apply(content, write);
        continue;
      }
      for (size_t at = 0; at < write.data.size(); at += kSector) {
        if (random.below(4) < kept) {
          apply(content, {write.at + at, write.data.substr(at, kSector), false});
        }
      }
    }
    files[path] = std::move(content);
  }
  return files;
}

}  // namespace knarr::kv
