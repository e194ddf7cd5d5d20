#include "agent/eviction.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::agent;
using json::Value;

namespace {

PodRef pod_named(const std::string& name, const std::string& requests, int64_t priority,
                 const char* qos = "Burstable", const std::string& tolerations = "[]") {
  auto object = std::make_shared<Object>();
  object->name = {"default", name};
  object->uid = name;
  object->json = R"({"metadata":{"name":")" + name + R"("},"status":{"qosClass":")" + qos +
                 R"("},"spec":{"priority":)" + std::to_string(priority) + R"(,"tolerations":)" +
                 tolerations + R"(,"containers":[{"name":"c","resources":{"requests":)" + requests +
                 "}}]}}";
  return *Pod::parse(object);
}

constexpr int64_t kMi = 1 << 20;

}  // namespace

TEST_CASE("what the kernel says of memory") {
  Supply s = memory_supply("MemTotal:    1000 kB\nMemFree:  10 kB\nMemAvailable:   400 kB\n");
  CHECK(s.capacity == 1000 * 1024);
  CHECK(s.available == 400 * 1024);
  CHECK(memory_supply("").capacity == 0);
}

TEST_CASE("thresholds are met below an amount or a share") {
  EvictionSettings defaults;
  CHECK(defaults.memory.met({1000 * kMi, 99 * kMi}));
  CHECK_FALSE(defaults.memory.met({1000 * kMi, 100 * kMi}));
  CHECK(defaults.disk.met({1000, 149}));
  CHECK_FALSE(defaults.disk.met({1000, 150}));
  CHECK_FALSE(defaults.disk.met({0, 0}));  // not known

  EvictionSettings s;
  REQUIRE(parse_eviction("memory.available<1Gi,nodefs.available<10%,imagefs.available<5%", s).ok());
  CHECK(s.memory.amount == 1024 * kMi);
  CHECK(s.disk.percent == 10);
  CHECK_FALSE(s.inodes.met({1000, 1}));
  CHECK(parse_eviction("memory<1", s).error().message == "unsupported eviction signal memory");
  CHECK_FALSE(parse_eviction("memory.available", s).ok());
  CHECK_FALSE(parse_eviction("memory.available<x", s).ok());
}

TEST_CASE("who is evicted first") {
  std::vector<PodUse> pods = {
      {pod_named("modest", R"({"memory":"64Mi"})", 0), {{"c", 32 * kMi}}, 0},
      {pod_named("greedy", R"({"memory":"64Mi"})", 0), {{"c", 99 * kMi}}, 0},
      {pod_named("more", "{}", 0), {{"c", 200 * kMi}}, 0},
      {pod_named("grand", "{}", 10), {{"c", 900 * kMi}}, 0},
      {pod_named("critical", "{}", 2000000000), {{"c", 999 * kMi}}, 0}};
  std::string names;
  for (const PodUse& p : eviction_order(pods, Pressure::kMemory)) names += p.pod->name() + " ";
  CHECK(names == "more greedy grand modest ");
  CHECK(eviction_message(pods[1], Pressure::kMemory, {100 * kMi, 0}, {1000 * kMi, 50 * kMi}) ==
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        "Container c was using 99Mi, request is 64Mi, has larger consumption of memory. ");
}

TEST_CASE("who may come to a node under pressure") {
  const char* tolerates = R"([{"key":"node.kubernetes.io/memory-pressure","operator":"Exists"}])";
  PodRef best = pod_named("b", "{}", 0, "BestEffort");
  CHECK(refused_under(*best, Pressure::kMemory));
  CHECK_FALSE(refused_under(*pod_named("t", "{}", 0, "BestEffort", tolerates), Pressure::kMemory));
  CHECK_FALSE(refused_under(*pod_named("g", "{}", 0), Pressure::kMemory));
  CHECK(refused_under(*pod_named("g", "{}", 0), Pressure::kDisk));
  CHECK_FALSE(refused_under(*pod_named("c", "{}", 2000000000), Pressure::kDisk));
}

TEST_CASE("images go when the disk fills, the longest unused first") {
  EvictionSettings s;
  CHECK(image_bytes_to_free({1000, 200}, s) == 0);
  CHECK(image_bytes_to_free({1000, 150}, s) == 50);
  std::vector<ImageUse> images = {{"old", 10, 100, 5, false},
                                  {"older", 10, 50, 5, false},
                                  {"never", 10, 0, 6, false},
                                  {"used", 10, 0, 1, true},
                                  {"new", 10, 0, 500000, false}};
  using Ids = std::vector<std::string>;
  CHECK(images_to_remove(images, 20, 500001) == Ids{"never", "older"});
  CHECK(images_to_remove(images, 21, 500001) == Ids{"never", "older", "old"});
  CHECK(images_to_remove(images, 1000, 500000 + 120000) == Ids{"never", "new", "older", "old"});
}
