// Packets from outside to services on a node, through real rules: who is let in, whose address the
// pod sees, which endpoint answers. By iptables-nft and by iptables-legacy.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "agent/network/bridge_network.h"
#include "agent/network/routes.h"
#include "agent/proxy/service_proxy.h"
#include "base/format.h"
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
constexpr char kNode[] = "192.0.2.1";
constexpr char kOutside[] = "192.0.2.9";

api::IpAddress ip(const std::string& text) { return *api::IpAddress::parse(text); }

// The machine, with an outside neighbour on a cable and two pods.
struct ServiceNode {
  explicit ServiceNode(const std::string& folder)
      : iptables(loop, {"KT", 14, {}}),
        bridge(loop, iptables, options(folder)),
        watch(client),
        proxy(loop, watch, iptables, {"", "n1", "10.42.0.0/16", "", {}}) {
    auto netlink = Netlink::open();
    REQUIRE(set_link_up(*netlink, 1).ok());
    int refused = 0;
    REQUIRE(create_veth(*netlink,
                        {"eth0", "eth0", mac_of(ip(kOutside)), outside.fd_.get(), 0, 1500},
                        &refused)
                .ok());
    int cable = (*find_link(*netlink, "eth0"))->index;
    REQUIRE(add_address(*netlink, cable, {ip(kNode), 24}).ok());
    outside.inside([] {
      auto inside = Netlink::open();
      int index = (*find_link(*inside, "eth0"))->index;
      static_cast<void>(set_link_up(*inside, index).ok());
      static_cast<void>(add_address(*inside, index, {ip(kOutside), 24}).ok());
      // What is no address of the machine's is beyond it: external IPs.
      static_cast<void>(set_route(*inside, {{ip("198.51.100.0"), 24}, index, ip(kNode), {}}).ok());
    });
    REQUIRE(set_route(*netlink, {{ip("198.51.100.0"), 24}, cable, ip(kOutside), {}}).ok());
    bool done = false;
    REQUIRE(bridge.set_pod_cidr("10.42.0.0/24", [&] { done = true; }).ok());
    REQUIRE(loop.run_until([&] { return done; }, kLimitMs));
    attach("a", a);
    attach("b", b);
    a.inside([&] { at_a = listen_on(8080); });
    b.inside([&] { at_b = listen_on(8080); });
    watch.on_change([this] { proxy.changed(); });
    watch.start();
    client.sync();
  }
  static BridgeOptions options(const std::string& folder) {
    BridgeOptions o;
    o.bridge = "knarrt0";
    o.service_cidr = "10.43.0.0/16";
    o.state_dir = folder + "/network";
    o.direct_routes = true;
    return o;
  }
  void attach(const std::string& name, const FakePod& pod) {
    bool done = false;
    auto object = FakeWatchClient::object(
        R"({"metadata":{"name":"p","namespace":"default","uid":"u"},"spec":{"containers":[{"name":"c",
        "image":"i"}]}})");
    bridge.attach(*Pod::parse(object), "box-" + name, pod.path(),
                  [&](const Result<std::vector<std::string>>& r) { done = r.ok(); });
    REQUIRE(loop.run_until([&] { return done; }, kLimitMs));
  }
  // The service "web" on port 80, and its endpoints: "a" and "b", on which node.
  void service(const std::string& spec, const std::string& status, const std::string& a_node,
               const std::string& b_node, const char* elsewhere = nullptr) {
    client.put(
        "services",
        R"({"metadata":{"namespace":"default","name":"web"},"spec":{"clusterIP":"10.43.1.1",)" +
            spec + R"("ports":[{"port":80,"nodePort":30080}]},"status":)" + status + "}");
    std::string endpoints;
    auto add = [&](const char* address, const std::string& node) {
      if (node.empty()) return;
      endpoints += fmt::format(R"({}{{"addresses":["{}"],"nodeName":"{}"}})",
                               endpoints.empty() ? "" : ",", address, node);
    };
    add("10.42.0.2", a_node);
    add("10.42.0.3", b_node);
    if (elsewhere != nullptr) add(elsewhere, "n2");
    client.put("endpointslices",
               R"({"metadata":{"namespace":"default","name":"web-1","labels":
               {"kubernetes.io/service-name":"web"}},"addressType":"IPv4","ports":[{"port":8080}],
               "endpoints":[)" +
                   endpoints + "]}");
    CHECK(loop.run_until([&] { return proxy.settled(); }, kLimitMs));
    bool done = false;
    iptables.set(RulePart::kPolicy, {}, [&](const Result<void>& r) {
      INFO((r.ok() ? "" : r.error().message));
      CHECK(r.ok());
      done = true;
    });
    CHECK(loop.run_until([&] { return done; }, kLimitMs));
  }
  // How many milliseconds an attempt takes at the most, while `work` goes on.
  int64_t longest_attempt(const std::string& address, const std::function<void()>& work) {
    std::atomic<bool> over = false;
    std::atomic<int64_t> longest = 0;
    auto ask = [&] {
      while (!over) {
        auto began = std::chrono::steady_clock::now();
        static_cast<void>(connects(address, 80, 3000));
        std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
        longest = std::max<int64_t>(longest, static_cast<int64_t>(took.count()));
        poll(nullptr, 0, 1);  // ports are few
      }
    };
    auto answer = [&] {
      while (!over) accepted_from(at_a, 10);
    };
    std::thread from_host(ask), from_pod([&] { b.inside(ask); }), answering(answer);
    work();
    over = true;
    for (std::thread* thread : {&from_host, &from_pod, &answering}) thread->join();
    while (!accepted_from(at_a, 0).empty()) {
    }
    return longest;
  }
  // "a:10.42.0.1": which pod was reached, and as whom; "none".
  std::string ask(const FakePod* from, const std::string& address, uint16_t port) {
    bool ok = false;
    auto connect = [&] { ok = connects(address, port, 400); };
    if (from != nullptr) {
      from->inside(connect);
    } else {
      connect();
    }
    if (!ok) return "none";
    std::string seen = accepted_from(at_a, 0);
    return seen.empty() ? "b:" + accepted_from(at_b) : "a:" + seen;
  }

  FakePod outside, a, b;
  UniqueFd at_a, at_b;
  base::Loop loop;
  FakeWatchClient client;
  Iptables iptables;
  BridgeNetwork bridge;
  ServiceWatch watch;
  ServiceProxy proxy;
};

void services_from_outside() {
  test::TempDir folder;
  ServiceNode node(folder.path());
  const FakePod* outside = &node.outside;
  const std::string balancer = R"({"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}})";

  // Policy Cluster: any endpoint, and answers come back by this node.
  node.service(R"("externalIPs":["198.51.100.7"],)", "{}", "n1", "");
  CHECK(node.ask(outside, kNode, 30080) == "a:10.42.0.1");
  CHECK(node.ask(outside, "198.51.100.7", 80) == "a:10.42.0.1");
  CHECK(node.ask(&node.b, "198.51.100.7", 80) == "a:10.42.0.1");
  CHECK(node.ask(nullptr, "198.51.100.7", 80) == "a:10.42.0.1");
  CHECK(node.ask(outside, kNode, 80) == "none");

  // A load balancer that is the node itself.
  node.service(R"("type":"LoadBalancer",)", balancer, "n1", "");
  CHECK(node.ask(outside, kNode, 80) == "a:10.42.0.1");
  CHECK(node.ask(&node.b, kNode, 80) == "a:10.42.0.1");
  CHECK(node.ask(nullptr, kNode, 80) == "a:10.42.0.1");
  CHECK(node.ask(outside, kNode, 30080) == "a:10.42.0.1");
  node.service(R"("type":"LoadBalancer","loadBalancerSourceRanges":["192.0.2.0/30"],)", balancer,
               "n1", "");
  CHECK(node.ask(outside, kNode, 80) == "none");
  CHECK(node.ask(nullptr, kNode, 80) == "a:10.42.0.1");
  node.service(R"("type":"LoadBalancer","loadBalancerSourceRanges":["192.0.2.9/32"],)", balancer,
               "n1", "");
  CHECK(node.ask(outside, kNode, 80) == "a:10.42.0.1");

  // Policy Local: endpoints of this node alone, who see the client.
  node.service(R"("type":"LoadBalancer","externalTrafficPolicy":"Local",)", balancer, "n2", "n1");
  for (int i = 0; i < 4; i++) CHECK(node.ask(outside, kNode, 80) == "b:192.0.2.9");
  CHECK(node.ask(outside, kNode, 30080) == "b:192.0.2.9");
  node.service(R"("type":"LoadBalancer","externalTrafficPolicy":"Local",)", balancer, "n2", "");
  CHECK(node.ask(outside, kNode, 80) == "none");
  CHECK(node.ask(&node.b, kNode, 80) == "a:10.42.0.3");
  CHECK(node.ask(&node.b, "10.43.1.1", 80) == "a:10.42.0.3");
  node.service(R"("internalTrafficPolicy":"Local",)", "{}", "n2", "n1");
  for (int i = 0; i < 4; i++) CHECK(node.ask(&node.a, "10.43.1.1", 80) == "b:10.42.0.2");
  node.service(R"("internalTrafficPolicy":"Local",)", "{}", "n2", "");
  CHECK(node.ask(&node.b, "10.43.1.1", 80) == "none");

  // A node port on 127.0.0.1, whose endpoint is on a machine beyond the node's own link.
  UniqueFd beyond;
  outside->inside([&] { beyond = listen_on(8080); });
  node.service("", "{}", "", "", kOutside);
  CHECK(connects("127.0.0.1", 30080));
  CHECK(accepted_from(beyond) == kNode);

  // Affinity, and no endpoint at all.
  node.service(R"("sessionAffinity":"ClientIP",)", "{}", "n1", "n1");
  std::string first = node.ask(outside, kNode, 30080);
  for (int i = 0; i < 6; i++) CHECK(node.ask(outside, kNode, 30080) == first);
  node.service("", "{}", "", "");
  CHECK(node.ask(outside, kNode, 30080) == "none");

  // Nobody has to send twice as endpoints come and go: neither lost nor a refusal unheard of.
  CHECK(node.longest_attempt("10.43.1.1", [&] {
    for (int i = 0; i < 10; i++) node.service("", "{}", i % 2 == 0 ? "n1" : "", "");
  }) < 900);
  REQUIRE(remove_rules("KT").ok());
}

}  // namespace

TEST_CASE("services from outside, from pods and from the node", "[root]") {
  in_new_netns(services_from_outside);
}

TEST_CASE("services by iptables-legacy", "[root]") {
  if (base::find_program("iptables-legacy-restore").empty()) return;
  LegacyIptables legacy;
  in_new_netns(services_from_outside);
}
