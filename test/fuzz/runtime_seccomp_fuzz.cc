// Seccomp profiles that a node's administrator wrote, down to the program.
#include <cstddef>
#include <cstdint>

#include "runtime/seccomp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto rules =
      knarr::runtime::parse_seccomp(std::string_view(reinterpret_cast<const char*>(data), size));
  if (rules.ok()) (void)knarr::runtime::compile_seccomp(*rules).ok();
  return 0;
}
