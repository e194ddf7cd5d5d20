#include <catch2/catch.hpp>

#include "agent/probes/prober.h"

using namespace knarr::agent;
using knarr::json::Value;

TEST_CASE("a verdict changes when its threshold is reached, not before") {
  // Results in order; after each, whether the verdict changed ('!' or '.').
  auto check = [](bool initially, int64_t successes, int64_t failures, const std::string& results,
                  const std::string& changes) {
    ProbeSettings settings;
    settings.success_threshold = successes;
    settings.failure_threshold = failures;
    ProbeCounter counter(settings, initially);
    std::string got;
    for (char r : results) got += counter.add(r == '+') ? '!' : '.';
    CHECK(got == changes);
  };
  check(false, 1, 3, "+++", "!..");
  check(false, 2, 3, "+-++", "...!");
  check(true, 1, 3, "---+", "..!!");
  check(true, 1, 3, "--+--", ".....");
  check(true, 1, 1, "-+-", "!!!");
  check(false, 1, 3, "----", "....");
}

TEST_CASE("a startup probe that never passed fails for good at its threshold") {
  ProbeSettings settings;
  settings.failure_threshold = 2;
  ProbeCounter counter(settings, false);
  counter.add(false);
  CHECK_FALSE(counter.failed_for_good());
  counter.add(false);
  CHECK(counter.failed_for_good());
}

TEST_CASE("the numbers of a probe, and their defaults") {
  ProbeSettings none = probe_settings(Value::object());
  CHECK(none.period_ms == 10000);
  CHECK(none.timeout_ms == 1000);
  CHECK(none.failure_threshold == 3);
  ProbeSettings some = probe_settings(
      Value::object({{"initialDelaySeconds", 5}, {"periodSeconds", 1}, {"failureThreshold", 1}}));
  CHECK(some.initial_delay_ms == 5000);
  CHECK(some.period_ms == 1000);
}

TEST_CASE("ports by number and by name") {
  Value container = *knarr::json::parse(R"({"ports":[{"name":"web","containerPort":8080}]})");
  CHECK(port_of(Value(80), container) == 80);
  CHECK(port_of(Value("web"), container) == 8080);
  CHECK(port_of(Value("nope"), container) == 0);
}
