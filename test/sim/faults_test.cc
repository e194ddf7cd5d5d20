// Convergence in spite of store errors, delays and restarts. The seed is printed with a failure.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "cluster.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT

namespace {

void run_with(uint64_t seed) {
  INFO("seed " << seed << " (KNARR_SIM_SEED repeats it)");
  sim::Cluster c(seed);
  c.start();
  c.add_node("n1");
  c.add_node("n2");
  REQUIRE(c.eventually([&] { return !c.get(kServiceAccounts, {"default", "default"}).is_null(); }));
  c.set_faults({50, 20});
  auto made = json::parse(R"({"metadata": {"name": "web"}, "spec": {"replicas": 5,
    "selector": {"matchLabels": {"app": "web"}},
    "template": {"metadata": {"labels": {"app": "web"}},
                 "spec": {"containers": [{"name": "c", "image": "i"}]}}}})");
  while (!c.create(kDeployments, "default", *made).ok()) {
  }
  base::SeededRandom random(seed + 1);
  for (int round = 0; round < 4; ++round) {
    c.clock.run_for(static_cast<int64_t>(random.below(400)));
    if (random.below(2) == 0) c.restart();
    std::string patch = R"({"spec":{"replicas":)" + std::to_string(1 + random.below(8)) +
                        R"(,"template":{"metadata":{"annotations":{"r":")" +
                        std::to_string(random.below(3)) + R"("}}}}})";
    while (!c.patch(kDeployments, {"default", "web"}, patch.c_str()).ok()) {
    }
  }
  c.set_faults({});
  auto settled = [&] {
    json::Value d = c.get(kDeployments, {"default", "web"});
    int64_t want = d["spec"]["replicas"].as_int();
    const json::Value& s = d["status"];
    return s["observedGeneration"] == d["metadata"]["generation"] &&
           s["availableReplicas"].as_int() == want && s["updatedReplicas"].as_int() == want &&
           s["replicas"].as_int() == want &&
           c.list(kPods, "default").size() == static_cast<size_t>(want);
  };
  REQUIRE(c.eventually(settled, 3600 * 1000));
  // Nothing moves once it is settled.
  c.clock.run_for(3600 * 1000);
  CHECK(settled());
}

}  // namespace

TEST_CASE("a rollout converges through faults and restarts") {
  if (const char* seed = std::getenv("KNARR_SIM_SEED")) {
    return run_with(std::strtoull(seed, nullptr, 10));
  }
  for (uint64_t seed = 1; seed <= 20; ++seed) run_with(seed);
}
