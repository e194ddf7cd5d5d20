// Certificate signing requests from anyone who may create one: what can be read can be signed, and
// nothing that can't be read is.
#include <cstdint>
#include <string_view>

#include "knarr/check.h"
#include "server/auth/signing_request.h"

using namespace knarr;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const net::KeyPair ca = *net::make_ca("fuzz", 1700000000);
  std::string_view pem(reinterpret_cast<const char*>(data), size);
  auto asked = server::read_signing_request(pem);
  if (!asked.ok()) return 0;
  auto made = server::sign_request(ca, pem, {{"client auth"}, 1700000000, 1700003600});
  CHECK(made.ok());
  CHECK(net::signed_by(*made, ca.certificate));
  return 0;
}
