// Layers come from anywhere: the reader ends, and no path leads out of the root.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "runtime/image/byte_source.h"
#include "runtime/image/tar_reader.h"
#include "runtime/image/unpack.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::runtime;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  auto source = decompressed(string_source(std::move(bytes)));
  if (!source.ok()) return 0;
  TarReader reader(**source);
  int64_t budget = 16 << 20;
  char buffer[4096];
  for (TarEntry entry; budget > 0; budget -= 512) {
    auto any = reader.next(entry);
    if (!any.ok() || !*any) return 0;
    for (const std::string& part : path_parts(entry.path)) {
      if (part.empty() || part == "." || part == ".." || part.find('/') != std::string::npos ||
          part.find('\0') != std::string::npos) {
        abort();
      }
    }
    int64_t told = 0;
    for (const TarEntry::Run& run : entry.runs) told += run.length;
    int64_t got_bytes = 0;
    for (;;) {
      auto got = reader.read(buffer, sizeof buffer);
      if (!got.ok()) return 0;
      if (*got == 0) break;
      got_bytes += static_cast<int64_t>(*got);
      if ((budget -= static_cast<int64_t>(*got)) < 0) return 0;
    }
    if (got_bytes != (entry.sparse ? told : entry.size)) abort();
  }
  return 0;
}
