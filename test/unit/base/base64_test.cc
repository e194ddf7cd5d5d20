#include "base/base64.h"

#include <catch2/catch.hpp>

using knarr::base::Base64;
using knarr::base::base64_decode;
using knarr::base::base64_encode;

TEST_CASE("base64 both ways (RFC 4648, section 10)") {
  struct {
    const char* bytes;
    const char* standard;
    const char* raw;
  } table[] = {{"", "", ""},
               {"f", "Zg==", "Zg"},
               {"fo", "Zm8=", "Zm8"},
               {"foo", "Zm9v", "Zm9v"},
               {"foob", "Zm9vYg==", "Zm9vYg"},
               {"fooba", "Zm9vYmE=", "Zm9vYmE"},
               {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
               {"\xfb\xff", "+/8=", "+/8"}};
  for (const auto& row : table) {
    CHECK(base64_encode(row.bytes) == row.standard);
    CHECK(base64_decode(row.standard).value() == row.bytes);
    CHECK(base64_encode(row.bytes, Base64::kStandardRaw) == row.raw);
    CHECK(base64_decode(row.raw, Base64::kStandardRaw).value() == row.bytes);
  }
  CHECK(base64_encode("\xfb\xff", Base64::kUrl) == "-_8");
  CHECK(base64_decode("-_8", Base64::kUrl).value() == "\xfb\xff");
}

TEST_CASE("base64 that is refused, and where") {
  struct {
    Base64 form;
    const char* text;
    int at;  // -1: it is good
  } table[] = {
      {Base64::kStandard, "***", 0},     {Base64::kStandard, "Zg", 0},
      {Base64::kStandard, "Zg=", 3},     {Base64::kStandard, "Zm9vZg", 4},
      {Base64::kStandard, "=", 0},       {Base64::kStandard, "Z===", 1},
      {Base64::kStandard, "Zg==Zg", 4},  {Base64::kStandard, "Zm8=x", 4},
      {Base64::kStandard, "Zg=x", 2},    {Base64::kStandard, "Z-8=", 1},
      {Base64::kStandard, "Zm\n9v", -1}, {Base64::kStandard, "Zg=\r\n=\n", -1},
      {Base64::kStandard, "Zh==", -1},   {Base64::kStandardRaw, "Zg==", 2},
      {Base64::kStandardRaw, "Z", 0},    {Base64::kStandardRaw, "Zm9vZ", 4},
      {Base64::kUrl, "a+b", 1},          {Base64::kUrl, "YQ==", 2},
      {Base64::kUrl, "YQ", -1},
  };
  for (const auto& row : table) {
    INFO(row.text);
    auto decoded = base64_decode(row.text, row.form);
    CHECK(decoded.ok() == (row.at < 0));
    if (decoded.ok() || row.at < 0) continue;
    CHECK(decoded.error().message == "illegal base64 data at input byte " + std::to_string(row.at));
  }
}
