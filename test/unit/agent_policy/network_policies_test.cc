// Policies on a node in a network namespace: real rules, real packets.
#include "agent/policy/network_policies.h"

#include <catch2/catch.hpp>

#include "agent/network/bridge_network.h"
#include "agent/network/rtnetlink.h"
#include "base/run_process.h"
#include "temp_dir.h"
#include "unit/agent_network/fake_pod.h"
#include "unit/agent_proxy/fake_watch_client.h"
#include "unit/agent_proxy/legacy_iptables.h"
#include "unit/agent_proxy/net_sandbox.h"

using namespace knarr;
using namespace knarr::agent;
using base::UniqueFd;

namespace {

constexpr int64_t kLimitMs = 20'000;

std::string pod_json(const std::string& name, const std::string& ip) {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"default","uid":")" + name +
         R"(","labels":{"app":")" + name + R"("}},"spec":{"nodeName":"n1","containers":[{"name":"c",
         "image":"i"}]},"status":{"podIP":")" +
         ip + R"("}})";
}

std::string policy_json(const std::string& spec) {
  return R"({"metadata":{"name":"p","namespace":"default"},"spec":)" + spec + "}";
}

struct PolicyNode {
  explicit PolicyNode(const std::string& folder)
      : iptables(loop, {"KT", 14, {RulePart::kPolicy}}),
        bridge(loop, iptables, options(folder)),
        policies(loop, client, iptables, "n1"),
        network(bridge, policies) {
    auto netlink = Netlink::open();
    static_cast<void>(set_link_up(*netlink, 1).ok());  // loopback
    bool done = false;
    REQUIRE(bridge.set_pod_cidr("10.42.0.0/24", [&] { done = true; }).ok());
    REQUIRE(loop.run_until([&] { return done; }, kLimitMs));
    policies.start();
    client.sync();
  }
  static BridgeOptions options(const std::string& folder) {
    BridgeOptions b;
    b.bridge = "knarrt0";
    b.state_dir = folder + "/network";
    return b;
  }
  std::string attach(const std::string& name, const FakePod& pod) {
    std::string address;
    PodRef object = *Pod::parse(FakeWatchClient::object(pod_json(name, "")));
    network.attach(object, "box-" + name, pod.path(), [&](Result<std::vector<std::string>> r) {
      address = r.ok() ? r->at(0) : r.error().message;
    });
    loop.run_until([&] { return !address.empty(); }, kLimitMs);
    return address;
  }
  // What there is now is in the kernel.
  void settle() {
    CHECK(loop.run_until([&] { return policies.settled(); }, kLimitMs));
    bool done = false;
    iptables.set(RulePart::kServices, {}, [&](const Result<void>& r) {
      INFO((r.ok() ? "" : r.error().message));
      CHECK(r.ok());
      done = true;
    });
    loop.run_until([&] { return done; }, kLimitMs);
  }
  void policy(const std::string& spec) {
    client.put("networkpolicies", policy_json(spec));
    if (client.handlers.count("pods") > 0) {
      for (const auto& [name, ip] : pods) client.put("pods", pod_json(name, ip));
      client.put("namespaces", R"({"metadata":{"name":"default"}})");
      client.sync();
    }
    settle();
  }

  std::map<std::string, std::string> pods;
  base::Loop loop;
  FakeWatchClient client;
  Iptables iptables;
  BridgeNetwork bridge;
  NetworkPolicies policies;
  PolicyNetwork network;
};

bool reaches(const FakePod& from, const std::string& ip) {
  bool ok = false;
  from.inside([&] { ok = connects(ip, 8080, 300); });
  return ok;
}

std::string saved() { return base::run_process({base::find_program("iptables-save")}, {})->out; }

// A pod whose object went before its sandbox leaves no rules.
void gone_while_attached(PolicyNode& node) {
  FakePod e;
  node.client.put("pods", pod_json("e", ""));
  node.client.remove("pods", pod_json("e", ""));
  std::string address = node.attach("e", e);
  CHECK(saved().find(address + "/32") != std::string::npos);
  bool done = false;
  node.network.detach("box-e", [&](const Result<void>&) { done = true; });
  node.loop.run_until([&] { return done; }, kLimitMs);
  node.settle();
  CHECK(saved().find(address + "/32") == std::string::npos);
}

void blocked_and_let_through() {
  test::TempDir folder;
  PolicyNode node(folder.path());
  FakePod a, b, c;
  node.pods["a"] = node.attach("a", a);
  node.pods["b"] = node.attach("b", b);
  REQUIRE(node.pods["b"] == "10.42.0.3");
  node.settle();
  CHECK(saved().find("KT-POLICY") == std::string::npos);
  CHECK(node.client.handlers.count("pods") == 0);
  UniqueFd listener, listener_a;
  b.inside([&] { listener = listen_on(8080); });
  a.inside([&] { listener_a = listen_on(8080); });
  CHECK(reaches(a, "10.42.0.3"));

  node.policy(R"({"podSelector":{"matchLabels":{"app":"b"}}})");
  CHECK(!reaches(a, "10.42.0.3"));
  CHECK(reaches(b, "10.42.0.2"));
  CHECK(reaches(b, "10.42.0.3"));
  CHECK(connects("10.42.0.3", 8080));  // the node, as for a probe

  node.policy(R"({"podSelector":{"matchLabels":{"app":"b"}},
      "ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"a"}}}],"ports":[{"port":8080}]}]})");
  CHECK(reaches(a, "10.42.0.3"));
  // Before its status tells its address, and already kept out.
  node.pods["c"] = node.attach("c", c);
  CHECK(!reaches(c, "10.42.0.3"));

  node.policy(R"({"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"ipBlock":
      {"cidr":"10.42.0.0/24","except":["10.42.0.3/32"]}}],"ports":[{"port":8000,"endPort":9000}]}]})");
  CHECK(!reaches(a, "10.42.0.3"));
  CHECK(reaches(b, "10.42.0.2"));

  FakePod d;
  node.policy(R"({"podSelector":{}})");
  UniqueFd listener_d;
  d.inside([&] { listener_d = listen_on(8080); });
  REQUIRE(node.attach("d", d) == "10.42.0.5");
  CHECK(!reaches(a, "10.42.0.5"));
  for (const char* told : {"", "10.42.0.99", "10.42.0.5", "10.42.0.5"}) {
    INFO("its status says: " << told);
    node.client.put("pods", pod_json("d", told));
    node.settle();
    CHECK(!reaches(a, "10.42.0.5"));
    CHECK(saved().find("10.42.0.99") == std::string::npos);
  }
  gone_while_attached(node);

  node.client.remove("networkpolicies", policy_json("{}"));
  node.settle();
  CHECK(reaches(a, "10.42.0.3"));
  CHECK(saved().find("KT-POLICY") == std::string::npos);
  CHECK(saved().find("0x8000") == std::string::npos);
  REQUIRE(remove_rules("KT").ok());
}

}  // namespace

TEST_CASE("what a policy refuses does not arrive, what it allows does", "[root]") {
  in_new_netns(blocked_and_let_through);
}

TEST_CASE("a pod that is attached waits until the policies are known") {
  base::Loop loop;
  FakeWatchClient client;
  Iptables iptables(loop, {"KT", 14, {RulePart::kPolicy}});
  NetworkPolicies policies(loop, client, iptables, "n1");
  PodRef pod = *Pod::parse(FakeWatchClient::object(pod_json("a", "")));
  int told = 0;
  auto attach = [&] {
    policies.attached(*pod, "box-a", {"10.42.0.2"}, [&](const Result<void>&) { told++; });
  };
  attach();
  CHECK(told == 1);  // nothing was started: no policies are enforced
  policies.start();
  attach();
  CHECK(told == 1);
  SECTION("there are none") {
    client.sync();
    CHECK(told == 2);
  }
  SECTION("one that may select it") {
    client.put("networkpolicies", policy_json(R"({"podSelector":{"matchLabels":{"app":"b"}}})"));
    client.handlers.at("networkpolicies")->on_synced();
    CHECK(told == 1);
    attach();
    client.sync();
    CHECK(told == 3);
  }
}

TEST_CASE("policies by iptables-legacy", "[root]") {
  if (base::find_program("iptables-legacy-restore").empty()) return;
  LegacyIptables legacy;
  in_new_netns(blocked_and_let_through);
}
