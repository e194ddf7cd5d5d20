// The arithmetic of autoscaling.
#include <catch2/catch.hpp>

#include "server/controllers/autoscaler_core.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT

namespace {

constexpr int64_t kNow = 10000 * 1000000LL;

api::PodView pod(const std::string& name, api::PodPhase phase = api::PodPhase::kRunning) {
  auto object = std::make_shared<Object>();
  object->name = {"ns", name};
  api::PodView view;
  view.object = object;
  view.phase = phase;
  view.value = *json::parse(R"({"status": {"startTime": "1970-01-01T00:00:01Z", "conditions": [
    {"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:05Z"}]},
    "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]}})");
  return view;
}

PodUsage usage(const std::vector<api::PodView>& pods, std::vector<int64_t> milli, int64_t current) {
  PodUsage u{pods, {}, current, true, {}, kNow};
  for (size_t i = 0; i < milli.size(); ++i) {
    if (milli[i] >= 0) u.metrics[pods[i].name()] = {milli[i], kNow, 30000000};
  }
  return u;
}

}  // namespace

TEST_CASE("replicas for a share of what pods ask for") {
  struct Case {
    std::vector<int64_t> milli;  // -1: no metric
    int64_t target;
    int64_t replicas;
    int64_t percent;
  };
  std::vector<api::PodView> pods{pod("a"), pod("b"), pod("c")};
  auto requests = requests_of(pods, "cpu", "");
  REQUIRE(requests.ok());
  for (const Case& c : {
           Case{{50, 50, 50}, 50, 3, 50}, Case{{54, 54, 54}, 50, 3, 54},  // within a tenth
           Case{{100, 100, 100}, 50, 6, 100}, Case{{10, 10, 10}, 50, 1, 10},
           Case{{100, 100, -1}, 50, 4, 100},  // what says nothing counts as idle on the way up
           Case{{10, 10, -1}, 50, 3, 10},     // and as fully used on the way down
           Case{{60, 60, -1}, 50, 3, 60},     // which may not turn the direction round
       }) {
    auto p = replicas_for_utilization(usage(pods, c.milli, 3), *requests, c.target);
    REQUIRE(p.ok());
    CHECK(p->replicas == c.replicas);
    CHECK(p->utilization_percent == c.percent);
  }
}

TEST_CASE("pods that are not ready yet hold back the way up only") {
  std::vector<api::PodView> pods{pod("a"), pod("b", api::PodPhase::kPending)};
  auto requests = requests_of(pods, "cpu", "");
  auto up = replicas_for_utilization(usage(pods, {100, -1}, 2), *requests, 50);
  REQUIRE(up.ok());
  CHECK(up->replicas == 2);  // 100 of 200 asked for: as wanted
  auto down = replicas_for_utilization(usage(pods, {10, -1}, 2), *requests, 50);
  REQUIRE(down.ok());
  CHECK(down->replicas == 1);
  CHECK_FALSE(replicas_for_utilization(usage(pods, {-1, -1}, 2), *requests, 50).ok());
  CHECK_FALSE(replicas_for_average(usage({}, {}, 2), 50).ok());
}

TEST_CASE("how fast a count may change") {
  struct Case {
    const char* behavior;
    int64_t current, wanted, replicas;
    const char* reason;
  };
  for (const Case& c : {
           Case{"null", 3, 100, 6, "ScaleUpLimit"},
           Case{"null", 1, 100, 4, "ScaleUpLimit"},
           Case{"null", 18, 100, 20, "TooManyReplicas"},
           Case{"null", 3, 1, 2, "TooFewReplicas"},
           Case{"null", 3, 5, 5, "DesiredWithinRange"},
           Case{R"({"scaleUp": {"selectPolicy": "Disabled"}})", 3, 5, 3, "ScaleUpLimit"},
           Case{R"({"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60},
                  {"type": "Percent", "value": 100, "periodSeconds": 60}]}})",
                3, 20, 6, "ScaleUpLimit"},
           Case{R"({"scaleUp": {"selectPolicy": "Min", "policies": [
                  {"type": "Pods", "value": 2, "periodSeconds": 60},
                  {"type": "Percent", "value": 100, "periodSeconds": 60}]}})",
                3, 20, 5, "ScaleUpLimit"},
           Case{R"({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [
                  {"type": "Percent", "value": 10, "periodSeconds": 60}]}})",
                10, 2, 9, "ScaleDownLimit"},
       }) {
    ScaleHistory history;
    ScaleVerdict v =
        settle_replicas(history, *json::parse(c.behavior), {2, 20}, c.current, c.wanted, kNow);
    CHECK(v.replicas == c.replicas);
    CHECK(v.limit_reason == c.reason);
  }
}

TEST_CASE("a count that falls waits for what was recommended before") {
  ScaleHistory history;
  history.recommendations.push_back({kNow - 60 * 1000000LL, 8});
  ScaleVerdict v = settle_replicas(history, json::Value(), {1, 20}, 8, 3, kNow);
  CHECK(v.replicas == 8);
  CHECK(v.stable_reason == "ScaleDownStabilized");
  v = settle_replicas(history, json::Value(), {1, 20}, 8, 3, kNow + 300 * 1000000LL);
  CHECK(v.replicas == 3);
}
