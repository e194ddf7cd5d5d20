// Any bytes as YAML: what is read must be written so that it reads the same.
#include <cstdint>
#include <string>
#include <string_view>

#include "api/codec/yaml.h"
#include "knarr/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto document = knarr::api::parse_yaml(text);
  if (document.ok()) (void)knarr::api::write_yaml(document->value);
  (void)knarr::api::parse_yaml_stream(text);
  return 0;
}
