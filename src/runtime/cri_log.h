// A container's log in the CRI's format: "2026-01-02T03:04:05.678901234Z stdout F line". A line
// longer than 16 KiB is several entries, all but the last tagged P; so is what has no newline at
// its end. Rotated when it has grown past its limit. Used by the shim.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::runtime {

// Cuts one stream into entries. Pure.
class LineSplitter {
 public:
  using Emit = std::function<void(std::string_view line, bool partial)>;

  void add(std::string_view bytes, const Emit& emit);
  void finish(const Emit& emit);  // what is left is partial

 private:
  std::string pending_;
};

class CriLog {
 public:
  // An empty path: nothing is kept. max_bytes 0: never rotated.
  Result<void> open(std::string path, int64_t max_bytes, int max_files);
  Result<void> reopen();  // the file was renamed by someone else

  enum class Source { kStdout, kStderr };
  void write(Source source, std::string_view bytes, int64_t now_ns);
  void finish(int64_t now_ns);

 private:
  void append(Source source, std::string_view line, bool partial, int64_t now_ns);
  void flush();
  void rotate(int64_t now_ns);

  std::string path_;
  int64_t max_bytes_ = 0;
  int max_files_ = 0;
  base::UniqueFd fd_;
  int64_t size_ = 0;
  std::string batch_;  // entries of one write
  LineSplitter splitters_[2];
};

}  // namespace knarr::runtime
