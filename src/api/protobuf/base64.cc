#include "api/protobuf/base64.h"

#include <cstdint>

namespace knarr::api {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t v = 0;
    size_t n = bytes.size() - i < 3 ? bytes.size() - i : 3;
    for (size_t j = 0; j < 3; j++) {
      v = v << 8 | (j < n ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; j++) {
      out += j <= n ? kAlphabet[v >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::string unbase64(std::string_view text) {
  std::string out;
  uint32_t v = 0;
  int bits = 0;
  for (char c : text) {
    size_t d = kAlphabet.find(c);
    if (d == std::string_view::npos) continue;
    v = v << 6 | static_cast<uint32_t>(d);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += static_cast<char>(v >> bits & 255);
    }
  }
  return out;
}

}  // namespace knarr::api
