// Manifests, configs and challenges come from registries.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/image/image.h"
#include "runtime/image/manifest.h"
#include "runtime/image/registry_auth.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knarr::runtime;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto manifest = parse_manifest(text); manifest.ok()) {
    (void)choose_platform(manifest->manifests, {"linux", "arm", "v7"});
  }
  if (auto image = image_from_config(text, {}); image.ok()) {
    image->manifest_digest = image->id;
    if (!image_from_json(image_to_json(*image)).ok()) abort();
  }
  for (const AuthChallenge& challenge : parse_challenges(text)) (void)token_url(challenge, "s");
  return 0;
}
