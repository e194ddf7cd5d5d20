#include "base/time.h"

#include <catch2/catch.hpp>

using namespace knarr::base;

TEST_CASE("moments as text") {
  CHECK(format_time(0) == "1970-01-01T00:00:00Z");
  CHECK(format_time(1767323045678901) == "2026-01-02T03:04:05Z");
  CHECK(format_micro_time(1767323045678901) == "2026-01-02T03:04:05.678901Z");
  CHECK(format_nano_time(1767323045678901234) == "2026-01-02T03:04:05.678901234Z");
  CHECK(format_time(-1) == "1969-12-31T23:59:59Z");
}

TEST_CASE("text as moments") {
  for (auto [text, us] : std::vector<std::pair<std::string, int64_t>>{
           {"1970-01-01T00:00:00Z", 0},
           {"2026-01-02T03:04:05Z", 1767323045000000},
           {"2026-01-02T03:04:05.6Z", 1767323045600000},
           {"2026-01-02T03:04:05.678901234Z", 1767323045678901},
           {"2026-01-02T05:04:05+02:00", 1767323045000000},
           {"2024-02-29T00:00:00Z", 1709164800000000}}) {
    CHECK(*parse_time(text) == us);
  }
  for (const char* text : {"", "2026-01-02", "2026-01-02T03:04:05", "2026-02-30T00:00:00Z",
                           "2026-13-01T00:00:00Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05Zx",
                           "2026-01-02T24:00:00Z", "x026-01-02T03:04:05Z"}) {
    CHECK_FALSE(parse_time(text).ok());
  }
}
