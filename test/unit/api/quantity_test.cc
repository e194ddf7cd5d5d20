#include "api/quantity.h"

#include <catch2/catch.hpp>

using knarr::api::canonical_quantity;
using knarr::api::Quantity;

namespace {

std::string canonical(std::string_view text) {
  auto result = canonical_quantity(text);
  return result.ok() ? *result : result.error().message;
}

Quantity q(std::string_view text) { return Quantity::parse(text).value(); }

}  // namespace

TEST_CASE("quantity: canonical text") {
  struct Case {
    const char* text;
    const char* canonical;
  };
  const Case cases[] = {
      {"0", "0"},
      {"1", "1"},
      {"-5", "-5"},
      {"+7", "7"},
      {"1000m", "1"},
      {"1500m", "1500m"},
      {"1.5", "1500m"},
      {"0.1", "100m"},
      {".5", "500m"},
      {"100k", "100k"},
      {"1000k", "1M"},
      {"1024", "1024"},
      {"1024Ki", "1Mi"},
      {"1Gi", "1Gi"},
      {"1536Mi", "1536Mi"},
      {"1.5Gi", "1536Mi"},
      {"0.5Ki", "512"},
      {"0.5Mi", "512Ki"},
      {"100Mi", "100Mi"},
      {"1e3", "1e3"},
      {"1E3", "1e3"},
      {"1e-3", "1e-3"},
      {"12e6", "12e6"},
      {"1n", "1n"},
      {"0.1n", "1n"},
      {"0.0000000001", "1n"},
      {"1u", "1u"},
      {"123456789012345678901234567890", "9223372036854775807"},
      {"9223372036854775807", "9223372036854775807"},
      {"10Ei", "9223372036854775807"},
      {"7Ei", "7Ei"},
      {"0.0001Ki", "102400u"},
      {"000100", "100"},
      {"1.", "1"},
      {"500000", "500k"},
      {"1000000Mi", "1000000Mi"},
      {"-1024Mi", "-1Gi"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    CHECK(canonical(c.text) == c.canonical);
  }
}

TEST_CASE("quantity: what is refused") {
  const char* kFormat =
      "quantities must match the regular expression "
      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  const char* kSuffix = "unable to parse quantity's suffix";
  for (const char* text : {"", "abc", "1 Gi", "1.2.3", "1Gix", "1Mb", "1e3e"}) {
    INFO(text);
    CHECK(canonical(text) == kFormat);
  }
  for (const char* text : {"1Kii", "1K", "1MM", "1i", "--1"}) {
    INFO(text);
    CHECK(canonical(text) == kSuffix);
  }
}

TEST_CASE("quantity: values round away from zero") {
  CHECK(q("1500m").value() == 2);
  CHECK(q("-1500m").value() == -2);
  CHECK(q("1n").value() == 1);
  CHECK(q("1n").milli_value() == 1);
  CHECK(q("2").milli_value() == 2000);
  CHECK(q("64Mi").value() == 64 * 1024 * 1024);
  CHECK(q("1e30").value() == INT64_MAX);
  CHECK(q("-1e30").value() < -9'000'000'000'000'000'000);
}

TEST_CASE("quantity: order and sums") {
  CHECK(q("1").compare(q("1000m")) == 0);
  CHECK(q("1Ki").compare(q("1k")) == 1);
  CHECK(q("-1").compare(q("1")) == -1);
  CHECK(q("1e38").compare(q("1n")) == 1);
  CHECK(q("-1e38").compare(q("-1n")) == -1);
  Quantity sum = q("500m");
  sum.add(q("1"));
  CHECK(sum.text() == "1500m");
  sum.subtract(q("1500m"));
  CHECK(sum.is_zero());
  Quantity zero;
  zero.add(q("1Gi"));
  CHECK(zero.text() == "1Gi");
}
