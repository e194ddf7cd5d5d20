// What is accepted as an image reference is its own full form, parsed again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/image/docker_config.h"
#include "runtime/image/reference.h"
#include "runtime/image/registries.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::runtime;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto ref = parse_image(text);
  if (ref.ok()) {
    auto again = parse_image(ref->text());
    if (!again.ok() || *again != *ref) abort();
    (void)endpoints_for({}, *ref);
  }
  (void)parse_docker_config(text).ok();
  return 0;
}
