#include "server/http/digest.h"

#include <openssl/evp.h>

#include "knarr/check.h"

namespace knarr::server {

std::string sha512_hex(std::string_view bytes) {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), raw, &size, EVP_sha512(), nullptr) == 1);
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (unsigned int i = 0; i < size; i++) {
    out += kDigits[raw[i] >> 4];
    out += kDigits[raw[i] & 15];
  }
  return out;
}

}  // namespace knarr::server
