#include "agent/proxy/spacing.h"

#include <catch2/catch.hpp>

using namespace knarr::agent;

TEST_CASE("a few changes are rendered at once, many one an interval") {
  Spacing spacing;
  int64_t now_ms = 1'000'000;
  for (int i = 0; i < Spacing::kAtOnce; i++) {
    CHECK(spacing.wait_ms(now_ms) == 0);
    spacing.rendered(now_ms);
  }
  for (int i = 0; i < 100; i++) {
    CHECK(spacing.wait_ms(now_ms) == Spacing::kIntervalMs);
    now_ms += Spacing::kIntervalMs;
    CHECK(spacing.wait_ms(now_ms) == 0);
    spacing.rendered(now_ms);
  }
  now_ms += 2 * Spacing::kIntervalMs;
  for (int i = 0; i < 2; i++) {
    CHECK(spacing.wait_ms(now_ms) == 0);
    spacing.rendered(now_ms);
  }
  CHECK(spacing.wait_ms(now_ms) == Spacing::kIntervalMs);
}
