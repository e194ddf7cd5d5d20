// Any bytes as the JSON body of a few kinds: what decodes must encode, and the result must decode
// to itself.
#include <cstdint>
#include <string>
#include <string_view>

#include "api/codec/decode.h"
#include "api/codec/encode.h"
#include "api/schema/defaults.h"
#include "knarr/check.h"

using namespace knarr;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const api::Type* const kTypes[] = {
      api::find_type("", "v1", "Pod"), api::find_type("", "v1", "Event"),
      api::find_type("apps", "v1", "Deployment"),
      api::find_type("apiextensions.k8s.io", "v1", "CustomResourceDefinition")};
  if (size == 0) return 0;
  const api::Type& type = *kTypes[data[0] % 4];
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto decoded = api::decode_json(type, text);
  if (!decoded.ok()) return 0;
  std::string once = api::encode_json(type, decoded->value);
  auto again = api::decode_json(type, once);
  CHECK(again.ok());
  CHECK(api::encode_json(type, again->value) == once);
  api::apply_defaults(type, decoded->value);
  api::encode_json(type, decoded->value);
  api::DecodeOptions options{
      "", "v1", "Pod", nullptr, api::Media::kJson, api::FieldValidation::kStrict};
  (void)api::decode_body(options, text);
  return 0;
}
