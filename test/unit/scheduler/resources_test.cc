#include "server/scheduler/resources.h"

#include <catch2/catch.hpp>

#include "server/scheduler/algorithm.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT

TEST_CASE("a pod asks for its containers together, or its largest init step") {
  auto check = [](const char* spec, int64_t cpu, int64_t memory) {
    Amounts a = pod_requests(*json::parse(spec), false);
    CHECK(a.cpu_milli == cpu);
    CHECK(a.memory == memory);
  };
  check(R"({"containers": [{"resources": {"requests": {"cpu": "500m", "memory": "1Ki"}}},
                           {"resources": {"requests": {"cpu": 1}}}]})",
        1500, 1024);
  check(R"({"containers": [{"resources": {"requests": {"cpu": "100m"}}}],
            "initContainers": [{"resources": {"requests": {"cpu": "2"}}}]})",
        2000, 0);
  // A sidecar runs beside what comes after it.
  check(R"({"containers": [{"resources": {"requests": {"cpu": "100m"}}}],
            "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
                               {"resources": {"requests": {"cpu": "500m"}}}]})",
        1500, 0);
  check(R"({"containers": [{}], "overhead": {"cpu": "250m"}})", 250, 0);
}

TEST_CASE("what asks for nothing still weighs something in scores") {
  Amounts a = pod_requests(*json::parse(R"({"containers": [{}]})"), true);
  CHECK(a.cpu_milli == 100);
  CHECK(a.memory == 200 * 1024 * 1024);
}

TEST_CASE("the message lists reasons with their counts, sorted") {
  CHECK(fit_message(3, {{"Insufficient cpu", 2}, {"node(s) were unschedulable", 1}}) ==
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.");
}
