// Any bytes either decode or are refused; what decoded encodes again.

#include <cstdint>

#include "api/protobuf/protobuf.h"
#include "api/resource.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes("k8s\0", 4);
  bytes.append(reinterpret_cast<const char*>(data), size);
  auto value = knarr::api::decode_protobuf(bytes, {"", "v1", "Pod"});
  if (!value.ok()) return 0;
  std::string_view group;
  std::string_view version;
  knarr::api::split_api_version((*value)["apiVersion"].as_string(), group, version);
  const auto* type = knarr::api::find_type(group, version, (*value)["kind"].as_string());
  if (type != nullptr) static_cast<void>(knarr::api::encode_protobuf(*type, *value));
  return 0;
}
