// Bytes that are read once, in order: files, and what they hold under gzip or zstd. Blocks; each
// source is used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "knarr/result.h"
#include "runtime/image/digest.h"

namespace knarr::runtime {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to n bytes; 0 is the end.
  virtual Result<size_t> read(char* out, size_t n) = 0;
};

// Owns the descriptor.
std::unique_ptr<ByteSource> file_source(base::UniqueFd fd, std::string name);
std::unique_ptr<ByteSource> string_source(std::string bytes);

// What the inner source holds, unpacked if it is gzip (also of several members) or zstd, which its
// first bytes tell.
Result<std::unique_ptr<ByteSource>> decompressed(std::unique_ptr<ByteSource> inner);

// Passes bytes on and hashes them.
class HashingSource final : public ByteSource {
 public:
  explicit HashingSource(ByteSource& inner) : inner_(inner) {}
  Result<size_t> read(char* out, size_t n) override;
  // Reads to the end: a digest is of all bytes, also of those behind the archive's end mark.
  Result<std::string> finish();

 private:
  ByteSource& inner_;
  Hasher hasher_;
};

}  // namespace knarr::runtime
