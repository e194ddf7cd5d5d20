#include <catch2/catch.hpp>

#include "server/controllers/daemon_set.h"
#include "server/controllers/node_lifecycle.h"
#include "server/controllers/stateful_set.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using Ordinals = std::vector<int64_t>;

namespace {

StatefulPod up(int64_t ordinal, bool updated = true) {
  return {ordinal, true, true, true, false, false, updated};
}
StatefulPod starting(int64_t ordinal) { return {ordinal, true, false, false, false, false, true}; }
StatefulPod missing(int64_t ordinal) { return {ordinal, false, false, false, false, false, false}; }

json::Value parse(const char* text) { return *json::parse(text); }

}  // namespace

TEST_CASE("ordinals are the end of the name") {
  CHECK(ordinal_of("web-3", "web") == 3);
  CHECK(ordinal_of("web-x", "web") == -1);
  CHECK(ordinal_of("web--1", "web") == -1);
  CHECK(ordinal_of("webs-3", "web") == -1);
}

TEST_CASE("stateful pods come one by one, each when the last is there") {
  CHECK(plan_stateful({}, {missing(0), missing(1)}, {}).create == Ordinals{0});
  CHECK(plan_stateful({}, {starting(0), missing(1)}, {}).create.empty());
  CHECK(plan_stateful({}, {up(0), missing(1)}, {}).create == Ordinals{1});
  StatefulRules parallel;
  parallel.parallel = true;
  CHECK(plan_stateful(parallel, {missing(0), missing(1)}, {}).create == Ordinals{0, 1});
}

TEST_CASE("stateful pods go from the last, one by one") {
  CHECK(plan_stateful({}, {up(0)}, {up(2), up(1)}).remove == Ordinals{2});
  StatefulPod going = up(2);
  going.terminating = true;
  going.healthy = false;
  CHECK(plan_stateful({}, {up(0)}, {going, up(1)}).remove.empty());
}

TEST_CASE("an update goes from the last down to the partition") {
  std::vector<StatefulPod> old{up(0, false), up(1, false), up(2, false)};
  CHECK(plan_stateful({}, old, {}).remove == Ordinals{2});
  StatefulRules rules;
  rules.partition = 2;
  CHECK(plan_stateful(rules, {up(0, false), up(1, false), up(2)}, {}).remove.empty());
  rules.partition = 0;
  CHECK(plan_stateful(rules, {up(0, false), up(1, false), up(2)}, {}).remove == Ordinals{1});
  rules.on_delete = true;
  CHECK(plan_stateful(rules, old, {}).remove.empty());
}

TEST_CASE("a daemon runs where selector and taints let it") {
  json::Value spec = daemon_pod_spec(parse(R"({"spec": {"nodeSelector": {"a": "b"}}})"));
  auto check = [&](const char* node, bool should_run, bool may_stay) {
    DaemonVerdict v = daemon_verdict(spec, parse(node));
    CHECK(v.should_run == should_run);
    CHECK(v.may_stay == may_stay);
  };
  check(R"({"metadata": {"name": "n", "labels": {"a": "b"}}})", true, true);
  check(R"({"metadata": {"name": "n", "labels": {"a": "c"}}})", false, false);
  check(R"({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"taints":
    [{"key": "x", "effect": "NoSchedule"}]}})",
        false, true);
  check(R"({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"taints":
    [{"key": "x", "effect": "NoExecute"}]}})",
        false, false);
  check(R"({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"taints":
    [{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}})",
        true, true);
}

TEST_CASE("conditions make taints") {
  auto taints = condition_taints(parse(R"({"spec": {"unschedulable": true}, "status":
    {"conditions": [{"type": "Ready", "status": "Unknown"},
                    {"type": "DiskPressure", "status": "True"}]}})"));
  REQUIRE(taints.size() == 3);
  CHECK(taints[0].key == "node.kubernetes.io/unschedulable");
  CHECK(taints[1].key == "node.kubernetes.io/unreachable");
  CHECK(taints[2].key == "node.kubernetes.io/disk-pressure");
}
