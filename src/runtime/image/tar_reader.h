// Reads tar as it comes: ustar, pax and GNU (long names, base-256 numbers, sparse files of all four
// dialects). The bytes are outside bytes: every number is checked, nothing is allocated by what a
// header claims. What the names mean on disk is the unpacker's matter.
//
// pax: POSIX.1-2008 "pax Interchange Format". GNU: the tar manual, "Basic Tar Format" and
// "Storing Sparse Files".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "knarr/result.h"
#include "runtime/image/byte_source.h"

namespace knarr::runtime {

enum class TarType { kFile, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

struct TarEntry {
  struct Run {  // of a sparse file: where the next `length` bytes of data belong
    int64_t offset = 0;
    int64_t length = 0;
  };
  TarType type = TarType::kFile;
  std::string path;  // as in the archive
  std::string link;
  unsigned mode = 0;  // permission bits, set-id bits and sticky
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t size = 0;  // of the file as it will be
  int64_t mtime_ns = 0;
  unsigned device_major = 0;
  unsigned device_minor = 0;
  std::map<std::string, std::string> xattrs;
  bool sparse = false;
  std::vector<Run> runs;  // when sparse
};

class TarReader {
 public:
  explicit TarReader(ByteSource& source) : source_(source) {}

  // The next entry, whatever is left of the last one skipped; false at the end of the archive.
  // kInvalid: not a tar archive, or a damaged one.
  Result<bool> next(TarEntry& entry);
  // Data of the entry, up to n bytes; 0 at its end. Of a sparse file: the runs, one after another.
  Result<size_t> read(char* out, size_t n);

 private:
  using Records = std::map<std::string, std::string>;

  Result<bool> read_block(char* block);
  Result<void> skip(int64_t bytes);
  Result<std::string> read_text(int64_t size, int64_t limit);
  Result<bool> next_header(char* header, Records& records);
  Result<void> fill(const char* header, const Records& records, TarEntry& entry);
  Result<void> read_gnu_sparse(const char* header, TarEntry& entry);
  Result<void> read_pax_sparse(const Records& records, TarEntry& entry);
  Result<void> read_sparse_map(TarEntry& entry);
  Result<void> check_runs(const TarEntry& entry) const;

  ByteSource& source_;
  Records global_;
  int64_t left_ = 0;     // data of the entry not read yet
  int64_t padding_ = 0;  // behind it, to the next block
};

}  // namespace knarr::runtime
