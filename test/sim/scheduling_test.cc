// What the scheduler decides and says, on a cluster in virtual time.
#include <catch2/catch.hpp>

#include "api/view/meta.h"
#include "cluster.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using knarr::sim::Cluster;

namespace {

json::Value pod(const std::string& name, const std::string& spec_members) {
  auto spec = json::parse(R"({"containers": [{"name": "c", "image": "i", "resources": {}}])" +
                          (spec_members.empty() ? "" : "," + spec_members) + "}");
  REQUIRE(spec.ok());
  return json::Value::object(
      {{"metadata",
        json::Value::object({{"name", name}, {"labels", json::Value::object({{"app", name}})}})},
       {"spec", *spec}});
}

struct Nodes : Cluster {
  Nodes() : Cluster(7) {
    start();
    add_node("n1", "2", {{"zone", "a"}});
    add_node("n2", "2", {{"zone", "b"}});
    REQUIRE(eventually([&] {
      return !get(kServiceAccounts, {"default", "default"}).is_null() &&
             get(kNodes, {"", "n1"})["spec"]["taints"].empty() &&
             get(kNodes, {"", "n2"})["spec"]["taints"].empty();
    }));
  }
  // The node it lands on, or the message of why it does not.
  std::string outcome(json::Value p, const char* cpu = nullptr) {
    if (cpu != nullptr) {
      p.member("spec")
          .member("containers")
          .at(0)
          .member("resources")
          .member("requests")
          .set("cpu", cpu);
    }
    std::string name = p["metadata"]["name"].text();
    auto made = create(kPods, "default", std::move(p));
    REQUIRE(made.ok());
    std::string result;
    eventually([&] {
      json::Value now = get(kPods, {"default", name});
      result = now["spec"]["nodeName"].text();
      if (result.empty()) {
        result = api::condition(now["status"]["conditions"], "PodScheduled")["message"].text();
      }
      return !result.empty();
    });
    return result;
  }
};

}  // namespace

TEST_CASE("pods go where their selectors, taints and room let them") {
  Nodes c;
  const std::string kNoHelp =
      " no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not "
      "helpful for scheduling.";
  CHECK(c.outcome(pod("a", R"("nodeSelector": {"zone": "b"})")) == "n2");
  CHECK(c.outcome(pod("b", R"("nodeSelector": {"zone": "c"})")) ==
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector." + kNoHelp);
  CHECK(c.outcome(pod("big", ""), "3") == "0/2 nodes are available: 2 Insufficient cpu." + kNoHelp);
  CHECK(c.outcome(pod("f1", R"("nodeSelector": {"zone": "a"})"), "1500m") == "n1");
  CHECK(c.outcome(pod("f2", ""), "1500m") == "n2");
  CHECK(c.outcome(pod("f3", ""), "1") ==
        "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: "
        "0/2 nodes are available: 2 No preemption victims found for incoming pod.");
  // Room is made: the waiting pod gets it.
  REQUIRE(c.remove(kPods, {"default", "f1"}).ok());
  CHECK(c.eventually([&] {
    return c.get(kPods, {"default", "f3"})["spec"]["nodeName"].as_string() == "n1";
  }));
}

TEST_CASE("a pod gets zone and region of its node as labels") {
  Nodes c;
  c.add_node("n3", "2",
             {{"topology.kubernetes.io/zone", "z3"}, {"topology.kubernetes.io/region", "r"}});
  REQUIRE(c.eventually([&] { return c.get(kNodes, {"", "n3"})["spec"]["taints"].empty(); }));
  REQUIRE(c.outcome(pod("a", R"("nodeSelector": {"topology.kubernetes.io/zone": "z3"})")) == "n3");
  json::Value labels = c.get(kPods, {"default", "a"})["metadata"]["labels"];
  CHECK(labels["topology.kubernetes.io/zone"].as_string() == "z3");
  CHECK(labels["topology.kubernetes.io/region"].as_string() == "r");
  CHECK(labels["app"].as_string() == "a");
}

TEST_CASE("anti-affinity keeps pods apart, and spread constraints even") {
  Nodes c;
  std::string apart = R"("affinity": {"podAntiAffinity": {
    "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname",
      "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In",
        "values": ["x1", "x2", "x3"]}]}}]}})";
  std::string first = c.outcome(pod("x1", apart));
  std::string second = c.outcome(pod("x2", apart));
  CHECK(first != second);
  CHECK(c.outcome(pod("x3", apart)).find("2 node(s) didn't match pod anti-affinity rules.") !=
        std::string::npos);
}

TEST_CASE("a more important pod makes room") {
  Nodes c;
  REQUIRE(c.create(kPriorityClasses, "",
                   *json::parse(R"({"metadata": {"name": "high"}, "value": 1000})"))
              .ok());
  c.outcome(pod("v1", ""), "1500m");
  c.outcome(pod("v2", ""), "1500m");
  json::Value p = pod("vip", R"("priorityClassName": "high")");
  p.member("spec")
      .member("containers")
      .at(0)
      .member("resources")
      .member("requests")
      .set("cpu", "1");
  REQUIRE(c.create(kPods, "default", p).ok());
  CHECK(c.eventually([&] {
    return !c.get(kPods, {"default", "vip"})["spec"]["nodeName"].as_string().empty();
  }));
  CHECK(c.list(kPods, "default").size() == 2);
}

TEST_CASE("a node that falls silent is tainted and its pods go") {
  Nodes c;
  REQUIRE(c.outcome(pod("a", R"("nodeSelector": {"zone": "b"})")) == "n2");
  c.silence("n2");
  // Its last sign of life is at most ten seconds old, and forty are granted.
  auto silent = [&] {
    json::Value n = c.get(kNodes, {"", "n2"});
    return api::condition_is(n["status"]["conditions"], "Ready", "Unknown");
  };
  CHECK_FALSE(c.eventually(silent, 29000));
  CHECK(c.eventually(silent, 12000));
  CHECK(c.eventually(
      [&] {
        json::Value n = c.get(kNodes, {"", "n2"});
        return api::condition_is(n["status"]["conditions"], "Ready", "Unknown") &&
               n["spec"]["taints"].size() == 2;
      },
      120000));
  // Five minutes are tolerated by default.
  CHECK(c.eventually(
      [&] {
        json::Value p = c.get(kPods, {"default", "a"});
        return p.is_null() || p["metadata"].has("deletionTimestamp");
      },
      400000));
}
