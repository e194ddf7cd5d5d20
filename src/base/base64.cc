#include "base/base64.h"

#include <array>
#include <cstdint>

namespace knarr::base {

namespace {

constexpr std::string_view kStandardDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

using Values = std::array<int8_t, 256>;

constexpr Values values_of(std::string_view digits) {
  Values values{};
  for (int8_t& v : values) v = -1;
  for (size_t i = 0; i < digits.size(); i++) {
    values[static_cast<unsigned char>(digits[i])] = static_cast<int8_t>(i);
  }
  return values;
}

constexpr Values kStandardValues = values_of(kStandardDigits);
constexpr Values kUrlValues = values_of(kUrlDigits);

Error illegal(size_t at) {
  return make_error(Code::kInvalid, "illegal base64 data at input byte " + std::to_string(at));
}

size_t skip_breaks(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) at++;
  return at;
}

// What may follow the digits of a padded text, from its first '=' on; `digits` of its last group of
// four have been seen.
Result<void> check_padding(std::string_view text, size_t at, size_t digits) {
  if (digits < 2) return illegal(at);
  at++;
  if (digits == 2) {
    at = skip_breaks(text, at);
    if (at >= text.size()) return illegal(text.size());
    if (text[at] != '=') return illegal(at - 1);
    at++;
  }
  at = skip_breaks(text, at);
  if (at < text.size()) return illegal(at);
  return {};
}

}  // namespace

std::string base64_encode(std::string_view bytes, Base64 form) {
  std::string_view digits = form == Base64::kUrl ? kUrlDigits : kStandardDigits;
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  uint32_t buffer = 0;
  int bits = 0;
  for (unsigned char c : bytes) {
    buffer = buffer << 8 | c;
    for (bits += 8; bits >= 6; bits -= 6) out += digits[buffer >> (bits - 6) & 63];
  }
  if (bits > 0) out += digits[buffer << (6 - bits) & 63];
  while (form == Base64::kStandard && out.size() % 4 != 0) out += '=';
  return out;
}

Result<std::string> base64_decode(std::string_view text, Base64 form) {
  const Values& values = form == Base64::kUrl ? kUrlValues : kStandardValues;
  bool padded = form == Base64::kStandard;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t buffer = 0;
  size_t digits = 0;  // of a group of four
  for (size_t i = skip_breaks(text, 0); i < text.size(); i = skip_breaks(text, i + 1)) {
    int value = values[static_cast<unsigned char>(text[i])];
    if (value < 0) {
      if (!padded || text[i] != '=') return illegal(i);
      TRY(check_padding(text, i, digits));
      return out;
    }
    buffer = buffer << 6 | static_cast<uint32_t>(value);
    if (digits > 0) out += static_cast<char>(buffer >> (6 - 2 * digits) & 255);
    digits = (digits + 1) % 4;
  }
  if (digits == 1 || (padded && digits != 0)) return illegal(text.size() - digits);
  return out;
}

}  // namespace knarr::base
