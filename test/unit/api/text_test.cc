// Durations, addresses and schedules.
#include <catch2/catch.hpp>

#include "api/cron.h"
#include "api/duration.h"
#include "api/ip.h"
#include "api/ip_list.h"
#include "base/time.h"

using namespace knarr::api;

TEST_CASE("duration: Go's text") {
  struct Case {
    const char* text;
    int64_t ns;
    const char* canonical;
  };
  const Case cases[] = {
      {"0", 0, "0s"},
      {"1s", 1'000'000'000, "1s"},
      {"90s", 90'000'000'000, "1m30s"},
      {"1.5h", 5'400'000'000'000, "1h30m0s"},
      {"-2m", -120'000'000'000, "-2m0s"},
      {"100ms", 100'000'000, "100ms"},
      {"1us", 1'000, "1\u00b5s"},
      {"1500ns", 1'500, "1.5\u00b5s"},
      {"1h2m3.5s", 3'723'500'000'000, "1h2m3.5s"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    CHECK(parse_duration(c.text).value() == c.ns);
    CHECK(format_duration(c.ns) == c.canonical);
  }
  CHECK(parse_duration("").error().message == "time: invalid duration \"\"");
  CHECK(parse_duration("1").error().message == "time: missing unit in duration \"1\"");
  CHECK(parse_duration("1x").error().message == "time: unknown unit \"x\" in duration \"1x\"");
  CHECK_FALSE(parse_duration("9999999999h").ok());
}

TEST_CASE("duration: ages of tables") {
  struct Case {
    int64_t seconds;
    const char* text;
  };
  const Case cases[] = {
      {-5, "<invalid>"},
      {-1, "0s"},
      {0, "0s"},
      {119, "119s"},
      {120, "2m"},
      {125, "2m5s"},
      {600, "10m"},
      {3600 * 3 - 1, "179m"},
      {3600 * 3, "3h"},
      {3600 * 3 + 60, "3h1m"},
      {3600 * 47, "47h"},
      {3600 * 48, "2d"},
      {3600 * 49, "2d1h"},
      {86400 * 8, "8d"},
      {86400 * 729, "729d"},
      {86400 * 730, "2y"},
      {86400 * 731, "2y1d"},
      {86400LL * 365 * 9, "9y"},
  };
  for (const Case& c : cases) CHECK(human_duration(c.seconds * 1'000'000) == c.text);
  CHECK(age("", 0) == "<unknown>");
  CHECK(age("yesterday", 0) == "<invalid>");
  CHECK(age("1970-01-01T00:00:00Z", 60'000'000) == "60s");
}

TEST_CASE("ip: parse and print") {
  struct Case {
    const char* text;
    const char* canonical;
  };
  const Case cases[] = {
      {"10.9.8.7", "10.9.8.7"},
      {"2001:db8::ffff", "2001:db8::ffff"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
      {"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    auto ip = IpAddress::parse(c.text);
    REQUIRE(ip);
    CHECK(ip->text() == c.canonical);
  }
  for (const char* text :
       {"", "300.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4:80", ":::", "1::2::3",
        "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1%eth0", "g::", "1.2.3.4::", ":1"}) {
    INFO(text);
    CHECK_FALSE(IpAddress::parse(text));
  }
}

TEST_CASE("ip: blocks") {
  auto block = Cidr::parse("10.96.3.4/12");
  REQUIRE(block);
  CHECK(block->network().text() == "10.96.0.0");
  CHECK(block->last().text() == "10.111.255.255");
  CHECK_FALSE(block->is_canonical_network());
  CHECK(block->contains(*IpAddress::parse("10.100.1.1")));
  CHECK_FALSE(block->contains(*IpAddress::parse("10.112.0.0")));
  CHECK(Cidr::parse("2001:db8::/64")->contains(*IpAddress::parse("2001:db8::1")));
  CHECK(IpAddress::parse("10.0.0.255")->plus(1)->text() == "10.0.1.0");
  CHECK_FALSE(IpAddress::parse("255.255.255.255")->plus(1));
  for (const char* text : {"nope", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/08", "::/129"}) {
    CHECK_FALSE(Cidr::parse(text));
  }
}

namespace {

std::string next(const char* schedule, const char* after) {
  auto cron = CronSchedule::parse(schedule);
  if (!cron.ok()) return cron.error().message;
  auto at = cron->next(*knarr::base::parse_time(after) / 1'000'000);
  return at ? knarr::base::format_time(*at * 1'000'000) : "never";
}

}  // namespace

TEST_CASE("ip: lists of both families") {
  using Parts = std::vector<std::string>;
  CHECK(split_list(" 10.0.0.0/8, fd00::/8,") == Parts{"10.0.0.0/8", "fd00::/8"});
  CHECK(split_list("").empty());
  CHECK(of_family("10.0.0.0/8,fd00::/8", true) == "fd00::/8");
  CHECK(of_family("fd00::/8,10.0.0.0/8", false) == "10.0.0.0/8");
  CHECK(of_family("10.0.0.0/8", true).empty());
  CHECK(first_of("fd00::1,192.0.2.1") == "fd00::1");
  CHECK(join_list({"a", "b"}) == "a,b");
}

TEST_CASE("cron: next moment") {
  struct Case {
    const char* schedule;
    const char* after;
    const char* next;
  };
  const Case cases[] = {
      {"* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"},
      {"*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"},
      {"0 0 1 1 *", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
      {"0 12 * * MON-FRI", "2026-01-02T12:00:00Z", "2026-01-05T12:00:00Z"},
      {"0 0 13 * FRI", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"},
      {"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
      {"0 0 30 2 *", "2026-01-01T00:00:00Z", "never"},
      {"@hourly", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"},
      {"@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"},
      {"5,10 3 * JAN ?", "2026-01-01T03:05:00Z", "2026-01-01T03:10:00Z"},
  };
  for (const Case& c : cases) {
    INFO(c.schedule);
    CHECK(next(c.schedule, c.after) == c.next);
  }
}

TEST_CASE("cron: what is refused") {
  CHECK(next("bad", "") == "expected exactly 5 fields, found 1: [bad]");
  CHECK(next("", "") == "empty spec string");
  CHECK(next("60 * * * *", "") == "end of range (60) above maximum (59): 60");
  CHECK(next("* * 0 * *", "") == "beginning of range (0) below minimum (1): 0");
  CHECK(next("5-1 * * * *", "") == "beginning of range (5) beyond end of range (1): 5-1");
  CHECK(next("*/0 * * * *", "") == "step of range should be a positive number: */0");
  CHECK(next("1/2/3 * * * *", "") == "too many slashes: 1/2/3");
  CHECK(next("@often", "") == "unrecognized descriptor: @often");
  CHECK(CronSchedule::parse("CRON_TZ=Europe/Paris 0 3 * * *")->zone_name() == "Europe/Paris");
}

TEST_CASE("cron: a skipped hour is skipped, a repeated one repeats") {
  // An hour east of UTC from the second day on.
  int64_t change = *knarr::base::parse_time("2026-03-29T01:00:00Z") / 1'000'000;
  ZoneOffset zone = [change](int64_t at) { return at < change ? 3600 : 7200; };
  auto cron = CronSchedule::parse("30 2 * * *").value();
  auto at = cron.next(*knarr::base::parse_time("2026-03-28T12:00:00Z") / 1'000'000, zone);
  CHECK(knarr::base::format_time(*at * 1'000'000) == "2026-03-30T00:30:00Z");
}
