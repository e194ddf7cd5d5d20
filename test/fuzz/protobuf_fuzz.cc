// Any bytes either decode or are refused; what decoded encodes again, and decodes to the same. Any
// bytes as the JSON of an object, which is our own, encode or are refused.

#include <cstdint>

#include "api/protobuf/protobuf.h"
#include "api/resource.h"
#include "knarr/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto& pod = *knarr::api::find_type("", "v1", "Pod");
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(knarr::api::encode_protobuf(pod, text));
  std::string bytes("k8s\0", 4);
  bytes.append(reinterpret_cast<const char*>(data), size);
  auto value = knarr::api::decode_protobuf(bytes, {"", "v1", "Pod"});
  if (!value.ok()) return 0;
  std::string_view group;
  std::string_view version;
  knarr::api::split_api_version((*value)["apiVersion"].as_string(), group, version);
  const auto* type = knarr::api::find_type(group, version, (*value)["kind"].as_string());
  if (type == nullptr) return 0;
  auto once = knarr::api::encode_protobuf(*type, knarr::json::write(*value));
  if (!once) return 0;
  auto again = knarr::api::decode_protobuf(*once, {});
  CHECK(again.ok());
  // The order of members is ours from here on.
  auto twice = knarr::api::encode_protobuf(*type, knarr::json::write(*again));
  CHECK(twice);
  auto last = knarr::api::decode_protobuf(*twice, {});
  CHECK(last.ok());
  CHECK(knarr::api::encode_protobuf(*type, knarr::json::write(*last)) == twice);
  return 0;
}
