#include <catch2/catch.hpp>

#include "server/controllers/cron_job.h"

using namespace knarr::server;  // NOLINT

TEST_CASE("the newest due moment is found, however far behind") {
  auto every_minute = knarr::api::CronSchedule::parse("* * * * *");
  REQUIRE(every_minute.ok());
  constexpr int64_t kBase = 1767225600;  // a full minute
  auto check = [&](int64_t after, int64_t now, int64_t want, bool many) {
    int missed = 0;
    CHECK(last_due(*every_minute, {}, kBase + after, kBase + now, &missed) ==
          (want < 0 ? 0 : kBase + want));
    CHECK((missed > 100) == many);
  };
  check(0, 59, -1, false);
  check(0, 60, 60, false);
  check(0, 185, 180, false);
  check(0, 86400 + 7, 86400, true);
}
