#include "agent/pod_resize.h"

#include <catch2/catch.hpp>

#include "agent/admission.h"
#include "agent/pod_groups.h"
#include "agent/pod_resources.h"
#include "fake_node.h"

using namespace knarr;
using namespace knarr::agent;
using namespace knarr::test;
using json::Value;

namespace {

Value parsed(const std::string& text) { return *json::parse(text); }

PodRef pod_of(const std::string& spec, const char* qos = "Burstable",
              const std::string& statuses = "[]", int64_t generation = 1) {
  auto object = std::make_shared<Object>();
  object->name = {"default", "p"};
  object->uid = "u1";
  Value meta = Value::object({{"name", "p"}, {"namespace", "default"}, {"generation", generation}});
  object->json = json::write(Value::object(
      {{"metadata", meta},
       {"spec", parsed(spec)},
       {"status", Value::object({{"qosClass", qos}, {"containerStatuses", parsed(statuses)}})}}));
  return *Pod::parse(object);
}

// One container "a" with these requests and limits of cpu and memory; "" for none.
std::string spec_with(const std::string& requests, const std::string& limits,
                      const std::string& more = "") {
  auto list = [](const std::string& two) {
    size_t comma = two.find(',');
    if (two.empty()) return std::string("{}");
    return R"({"cpu":")" + two.substr(0, comma) + R"(","memory":")" + two.substr(comma + 1) + "\"}";
  };
  return R"({"containers":[{"name":"a","image":"i","resources":{"requests":)" + list(requests) +
         R"(,"limits":)" + list(limits) + "}" + more + "}]}";
}

struct ResizeNode : Node {
  ResizeNode(const std::string& spec) : Node(parsed(spec)) {
    machine = std::make_shared<PodMachine>(services, pod_of(spec), [] {});
    start();
    runtime.updated.clear();
  }
  void update(const std::string& spec, int64_t generation = 2) {
    machine->update(pod_of(spec, "Burstable", "[]", generation));
    clock.settle();
  }
  const runtime::Resources& has() { return runtime.containers[runtime.running("a")].resources; }
  const runtime::Resources& pod_has() { return runtime.groups["burstable/podu1"]; }
};

}  // namespace

TEST_CASE("the group of a pod has what its containers have in sum") {
  auto check = [](const char* qos, const char* spec, int64_t shares, int64_t quota,
                  int64_t memory) {
    INFO(spec);
    runtime::Resources r = pod_group_resources(*pod_of(spec, qos));
    CHECK(r.cpu_shares == shares);
    CHECK(r.cpu_quota_us == quota);
    CHECK(r.memory_limit_bytes == memory);
  };
  check("BestEffort", R"({"containers":[{"name":"a"}]})", 2, 0, 0);
  check("Guaranteed",
        R"({"containers":[{"name":"a","resources":{"requests":{"cpu":"500m","memory":"1Mi"},
            "limits":{"cpu":"500m","memory":"1Mi"}}},
            {"name":"b","resources":{"requests":{"cpu":"1","memory":"1Mi"},
            "limits":{"cpu":"1","memory":"1Mi"}}}]})",
        1536, 150000, 2 << 20);
  // One without a limit: the pod has none.
  check("Burstable",
        R"({"containers":[{"name":"a","resources":{"requests":{"cpu":"100m"},
            "limits":{"cpu":"1","memory":"4Mi"}}},
            {"name":"b","resources":{"limits":{"memory":"4Mi"}}}]})",
        102, 0, 8 << 20);
  // An init container counts where it asks for more, and limits where it has no limit.
  check("Burstable",
        R"({"initContainers":[{"name":"i","resources":{"requests":{"cpu":"2"}}}],
            "containers":[{"name":"a","resources":{"requests":{"cpu":"1"},"limits":{"cpu":"1"}}}]})",
        2048, 0, 0);
  // A sidecar adds to both.
  check("Burstable",
        R"({"initContainers":[{"name":"s","restartPolicy":"Always","resources":
            {"requests":{"cpu":"1"},"limits":{"cpu":"1"}}}],
            "containers":[{"name":"a","resources":{"requests":{"cpu":"1"},"limits":{"cpu":"1"}}}]})",
        2048, 200000, 0);
  // What the pod says of itself stands for the sum; overhead comes on top.
  check("Burstable",
        R"({"overhead":{"cpu":"500m","memory":"1Mi"},
            "resources":{"requests":{"cpu":"1"},"limits":{"cpu":"2","memory":"3Mi"}},
            "containers":[{"name":"a"},{"name":"b","resources":{"requests":{"cpu":"250m"}}}]})",
        1536, 250000, 4 << 20);
}

TEST_CASE("a container without a limit has the pod's, and shares its memory for oom scores") {
  PodRef pod = pod_of(R"({"resources":{"requests":{"memory":"512Mi"},
      "limits":{"cpu":"1","memory":"1Gi"}},"containers":[{"name":"a"},
      {"name":"b","resources":{"requests":{"memory":"256Mi"},"limits":{"memory":"256Mi"}}}]})");
  runtime::Resources a = container_resources(*pod, pod->containers()[0], int64_t{1} << 30);
  CHECK(a.memory_limit_bytes == int64_t{1} << 30);
  CHECK(a.cpu_quota_us == 100000);
  CHECK(a.oom_score_adj == 875);
  runtime::Resources b = container_resources(*pod, pod->containers()[1], int64_t{1} << 30);
  CHECK(b.memory_limit_bytes == 256 << 20);
  CHECK(b.oom_score_adj == 625);
}

TEST_CASE("the groups of all pods, and of each class of them") {
  Value node = parsed(R"({"cpu":"2","memory":"1Gi"})");
  auto groups =
      group_resources(node, {pod_of(spec_with("100m,1Mi", "")), pod_of(spec_with("400m,1Mi", "")),
                             pod_of(spec_with("1,1Mi", "1,1Mi"), "Guaranteed")});
  CHECK(groups[""].cpu_shares == 2048);
  CHECK(groups[""].memory_limit_bytes == int64_t{1} << 30);
  CHECK(groups["burstable"].cpu_shares == 512);
  CHECK(groups["burstable"].memory_limit_bytes == 0);
  CHECK(groups["besteffort"].cpu_shares == 2);
}

TEST_CASE("what a node refuses of a resize, and what it puts off") {
  NodeRoom room;
  room.allocatable = parsed(R"({"cpu":"2","memory":"1Gi","pods":"110"})");
  room.pods = {pod_of(spec_with("1,512Mi", ""))};
  auto check = [&](const char* requests, const char* reason, const char* message) {
    Admission a = admit_resize(*pod_of(spec_with(requests, "")), room);
    CHECK(a.reason == reason);
    CHECK(a.message == message);
  };
  check("1,512Mi", "", "");
  check("1500m,1Mi", "Deferred",
        "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000");
  check("3,1Mi", "Infeasible",
        "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000");
  check("3,2Gi", "Infeasible",
        "Node didn't have enough capacity: memory, requested: 2147483648, capacity: 1073741824");
}

TEST_CASE("a resize reaches the cgroups: the pod's wide, the container's, the pod's narrow") {
  ResizeNode node(spec_with("100m,64Mi", "200m,64Mi"));
  node.update(spec_with("200m,32Mi", "400m,128Mi"));
  CHECK(node.runtime.updated == std::vector<std::string>{"group", "a", "group"});
  CHECK(node.has().cpu_quota_us == 40000);
  CHECK(node.has().memory_limit_bytes == 128 << 20);
  CHECK(node.pod_has().cpu_shares == 204);
  CHECK(node.pod_has().memory_limit_bytes == 128 << 20);
  CHECK(node.status()["resources"]["limits"]["cpu"].as_string() == "400m");
  CHECK(node.status()["allocatedResources"]["cpu"].as_string() == "200m");
  CHECK(node.status()["restartCount"].as_int() == 0);
  CHECK(node.condition("PodResizeInProgress") == "");
  CHECK(node.condition("PodResizePending") == "");
  const char* summary =
      R"({"containers":[{"name":"a","resources":{"requests":{"cpu":"200m","memory":"32Mi"},)"
      R"("limits":{"cpu":"400m","memory":"128Mi"}}}],"generation":2})";
  CHECK(node.events.said(std::string("ResizeStarted: Pod resize started: ") + summary));
  CHECK(node.events.said(std::string("ResizeCompleted: Pod resize completed: ") + summary));
}

TEST_CASE("a resize that does not fit waits for room") {
  ResizeNode node(spec_with("100m,64Mi", ""));
  node.room.verdict = {"Deferred", "no room"};
  node.update(spec_with("1,64Mi", ""), 3);
  CHECK(node.condition("PodResizePending") == "TrueDeferred");
  CHECK(node.runtime.updated.empty());
  CHECK(node.status()["allocatedResources"]["cpu"].as_string() == "100m");
  CHECK(node.has().cpu_shares == 102);
  for (const Value& c : node.statuses.last["conditions"].elements()) {
    if (c["type"].as_string() == "PodResizePending") CHECK(c["observedGeneration"].as_int() == 3);
  }
  node.machine->room_changed();
  node.clock.settle();
  CHECK(node.condition("PodResizePending") == "TrueDeferred");
  node.room.verdict = {};
  node.machine->room_changed();
  node.clock.settle();
  CHECK(node.condition("PodResizePending") == "");
  CHECK(node.has().cpu_shares == 1024);

  node.room.verdict = {"Infeasible", "never"};
  node.update(spec_with("9,64Mi", ""), 4);
  CHECK(node.condition("PodResizePending") == "TrueInfeasible");
  node.update(spec_with("1,64Mi", ""), 5);  // taken back
  CHECK(node.condition("PodResizePending") == "");
}

TEST_CASE("a limit below what is used is an error, tried again") {
  ResizeNode node(spec_with("100m,64Mi", "200m,64Mi"));
  node.runtime.memory_used = 48 << 20;
  node.update(spec_with("100m,32Mi", "200m,32Mi"));
  CHECK(node.condition("PodResizeInProgress") == "TrueError");
  CHECK(node.has().memory_limit_bytes == 64 << 20);
  node.runtime.memory_used = 16 << 20;
  node.clock.advance(10001);
  CHECK(node.condition("PodResizeInProgress") == "");
  CHECK(node.has().memory_limit_bytes == 32 << 20);
  CHECK(node.pod_has().memory_limit_bytes == 32 << 20);
}

TEST_CASE("a resize policy may want the container started anew") {
  const char* policy =
      R"(,"resizePolicy":[{"resourceName":"memory","restartPolicy":"RestartContainer"}])";
  ResizeNode node(spec_with("100m,64Mi", "", policy));
  node.update(spec_with("200m,64Mi", "", policy));
  CHECK(node.status()["restartCount"].as_int() == 0);
  node.update(spec_with("200m,32Mi", "", policy), 3);
  CHECK(node.events.said("Killing: Container a resize requires restart"));
  CHECK(node.status()["restartCount"].as_int() == 1);
  CHECK(node.status()["resources"]["requests"]["memory"].as_string() == "32Mi");
  CHECK(node.condition("PodResizeInProgress") == "");
}

TEST_CASE("a resize that came while knarr was away reaches what runs") {
  std::string told = R"([{"name":"a","resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}])";
  ResizeNode node(spec_with("100m,64Mi", ""));
  std::string id = node.runtime.running("a");
  Recovered recovered;
  for (const auto& [name, sandbox] : node.runtime.sandboxes) recovered.sandboxes.push_back(sandbox);
  recovered.containers.push_back(node.runtime.containers[id]);
  node.machine = std::make_shared<PodMachine>(
      node.services, pod_of(spec_with("1,64Mi", ""), "Burstable", told, 2), [] {});
  node.start(std::move(recovered));
  CHECK(node.runtime.running("a") == id);
  CHECK(node.has().cpu_shares == 1024);
  CHECK(node.pod_has().cpu_shares == 1024);
  CHECK(node.condition("PodResizeInProgress") == "");
  CHECK(node.status()["allocatedResources"]["cpu"].as_string() == "1");
}

TEST_CASE("after a restart of knarr a pod has what its status says, until it may have more") {
  std::string told = R"([{"name":"a","resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}])";
  Allocation allocation = told_allocation(*pod_of(spec_with("1,64Mi", ""), "Burstable", told));
  CHECK(allocation.containers["a"]["requests"]["cpu"].as_string() == "100m");
  PodRef wanted = pod_of(spec_with("1,64Mi", ""), "Burstable", told);
  PodRef given = with_allocation(wanted, allocation);
  CHECK(pod_requests(*given)["cpu"].as_string() == "100m");
  CHECK(with_allocation(given, allocation) == given);
}

TEST_CASE("a container that died while its resources were changed has not been resized") {
  Node node(spec_of({container("a")}));
  node.start();
  ContainerMachine machine(
      node.services, "a", [](const std::string&) { return ""; }, [] {});
  Recovered found;
  found.containers.push_back(node.runtime.containers.begin()->second);
  PodRef pod = make_pod(node.spec);
  machine.recover(pod, "s", {}, remains_of(*pod, pod->containers()[0], found, 0));
  runtime::Resources wanted;
  wanted.cpu_shares = 77;
  machine.resized(pod, "another", wanted);
  CHECK(machine.record().current->resources.cpu_shares != 77);
  machine.resized(pod, found.containers[0].id, wanted);
  CHECK(machine.record().current->resources.cpu_shares == 77);
  machine.sandbox_lost();
  machine.resized(pod, found.containers[0].id, wanted);
  CHECK_FALSE(machine.record().current);
}
