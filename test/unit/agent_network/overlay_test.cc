// Two nodes in network namespaces of their own, a cable between them, and pods that reach each
// other through the overlay.
#include "agent/network/overlay.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "agent/network/bridge_network.h"
#include "agent/network/routes.h"
#include "agent/network/vxlan.h"
#include "base/format.h"
#include "base/random.h"
#include "base/run_process.h"
#include "temp_dir.h"
#include "unit/agent_network/fake_pod.h"
#include "unit/agent_proxy/fake_watch_client.h"
#include "unit/agent_proxy/net_sandbox.h"

using namespace knarr;
using namespace knarr::agent;
using base::UniqueFd;

namespace {

constexpr int64_t kLimitMs = 20'000;

// Addresses of nodes and pods of one IP family.
struct Family {
  bool v6;
  std::string cluster() const { return v6 ? "fd00:42::/48" : "10.42.0.0/16"; }
  std::string range(int n) const {
    return v6 ? fmt::format("fd00:42:0:{}::/64", n + 1) : fmt::format("10.42.{}.0/24", n);
  }
  std::string pod(int n) const {
    return v6 ? fmt::format("fd00:42:0:{}::2", n + 1) : fmt::format("10.42.{}.2", n);
  }
  std::string node(int n) const { return (v6 ? "2001:db8::" : "192.0.2.") + std::to_string(n); }
};
constexpr Family kV4{false}, kV6{true};

std::string node_json(int n, const std::string& ip, Family family = kV4) {
  return fmt::format(R"({{"metadata":{{"name":"n{}"}},"spec":{{"podCIDR":"{}"}},
      "status":{{"addresses":[{{"type":"InternalIP","address":"{}"}}],
      "conditions":[{{"type":"Ready","status":"True"}}]}}}})",
                     n, family.range(n), ip);
}

PodRef any_pod() {
  auto object = std::make_shared<Object>();
  object->name = {"default", "p"};
  object->json = R"({"metadata":{"name":"p","namespace":"default","uid":"u"},"spec":{"containers":
      [{"name":"c","image":"i"}]}})";
  return *Pod::parse(object);
}

// All of it happens in the node's own namespace.
class TestNode {
 public:
  TestNode(int n, NetworkBackend backend, const std::string& folder, Family family)
      : n_(n), family_(family) {
    overlay_options.cluster_cidr = bridge_options.cluster_cidr = family.cluster();
    overlay_options.backend = backend;
    overlay_options.node_name = fmt::format("n{}", n);
    overlay_options.device = "knarrt.1";
    overlay_options.first_wait_ms = 100;
    bridge_options.bridge = "knarrt0";
    bridge_options.state_dir = fmt::format("{}/n{}", folder, n);
    bridge_options.mtu_overhead = overhead_of(backend, family.v6);
    bridge_options.node_ip = family.node(n + 1);
  }
  // With an end of the cable named eth0.
  void start() {
    inside([&] {
      auto netlink = Netlink::open();
      auto eth0 = find_link(*netlink, "eth0");
      REQUIRE(set_link_up(*netlink, 1).ok());
      REQUIRE(set_link_up(*netlink, (*eth0)->index).ok());
      address(bridge_options.node_ip);
      iptables = std::make_unique<Iptables>(loop, IptablesOptions{"KT", 14, {}, 15, family_.v6});
      bridge = std::make_unique<BridgeNetwork>(loop, *iptables, bridge_options);
      start_overlay();
      bool done = false;
      REQUIRE(bridge->set_pod_cidr(family_.range(n_), [&] { done = true; }).ok());
      REQUIRE(loop.run_until([&] { return done; }, kLimitMs));
    });
  }
  // As a process that begins.
  void start_overlay() {
    inside([&] {
      overlay = nullptr;
      overlay = std::make_unique<Overlay>(loop, random, client, overlay_options);
      overlay->start();
    });
  }
  void address(const std::string& ip) {
    auto netlink = Netlink::open();
    auto eth0 = find_link(*netlink, "eth0");
    REQUIRE(
        add_address(*netlink, (*eth0)->index, *api::Cidr::parse(ip + (family_.v6 ? "/64" : "/24")))
            .ok());
  }
  std::string attach(const FakePod& pod) {
    std::string out;
    inside([&] {
      bool done = false;
      bridge->attach(any_pod(), fmt::format("box-{}", n_), pod.path(),
                     [&](Result<std::vector<std::string>> r) {
                       out = r.ok() ? r->at(0) : r.error().message;
                       done = true;
                     });
      loop.run_until([&] { return done; }, kLimitMs);
    });
    return out;
  }
  // Nobody is waited for any more.
  void hear() {
    inside([&] { CHECK(loop.run_until([&] { return !overlay->asking(); }, kLimitMs)); });
  }
  void settle() {
    inside([&] { CHECK(loop.run_until([&] { return overlay->settled(); }, kLimitMs)); });
  }
  void inside(const std::function<void()>& fn) {
    UniqueFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    REQUIRE(setns(space.fd_.get(), CLONE_NEWNET) == 0);
    fn();
    REQUIRE(setns(home.get(), CLONE_NEWNET) == 0);
  }
  std::optional<LinkInfo> link(const std::string& name) {
    std::optional<LinkInfo> out;
    inside([&] {
      auto netlink = Netlink::open();
      out = *find_link(*netlink, name);
    });
    return out;
  }
  size_t route_count() {
    size_t n = 0;
    inside([&] {
      auto netlink = Netlink::open();
      n = list_routes(*netlink, family_.v6, kRouteProtocol)->size();
    });
    return n;
  }
  void stop() {
    inside([&] {
      overlay = nullptr;
      bridge = nullptr;
      iptables = nullptr;
    });
  }

  FakePod space;
  base::Loop loop;
  base::SystemRandom random;
  FakeWatchClient client;
  OverlayOptions overlay_options;
  BridgeOptions bridge_options;
  std::unique_ptr<Iptables> iptables;
  std::unique_ptr<BridgeNetwork> bridge;
  std::unique_ptr<Overlay> overlay;

 private:
  int n_;
  Family family_;
};

struct TwoNodes {
  TwoNodes(NetworkBackend backend, const std::string& folder, Family family = kV4)
      : a(0, backend, folder, family), b(1, backend, folder, family), family_(family) {
    a.inside([&] {
      auto netlink = Netlink::open();
      VethPair cable{"eth0", "eth0", mac_of(*api::IpAddress::parse("1.2.3.4")), b.space.fd_.get(),
                     0,      1500};
      int refused = 0;
      REQUIRE(create_veth(*netlink, cable, &refused).ok());
    });
    for (TestNode* node : {&a, &b}) {
      node->start();
      tell(*node);
      node->settle();
    }
  }
  // Of both nodes.
  void tell(TestNode& node) {
    node.inside([&] {
      for (int i : {0, 1}) node.client.put("nodes", node_json(i, family_.node(i + 1), family_));
      node.client.sync();
    });
  }
  ~TwoNodes() {
    a.stop();
    b.stop();
  }
  bool reach(const FakePod& from, const std::string& ip, const UniqueFd& listener,
             const std::string& seen_as) {
    bool ok = false;
    from.inside([&] { ok = connects(ip, 8080); });
    return ok && accepted_from(listener) == seen_as;
  }
  TestNode a, b;

 private:
  Family family_;
};

void pods_reach_each_other(NetworkBackend backend, Family family, const std::string& host_seen_as) {
  test::TempDir folder;
  TwoNodes nodes(backend, folder.path(), family);
  const std::string pod_a = family.pod(0), pod_b = family.pod(1), moved = family.node(7);
  FakePod pa, pb;
  REQUIRE(nodes.a.attach(pa) == pod_a);
  REQUIRE(nodes.b.attach(pb) == pod_b);
  UniqueFd at_a, at_b;
  pa.inside([&] { at_a = listen_on(8080); });
  pb.inside([&] { at_b = listen_on(8080); });
  // As what they are: nothing on the way hides a pod's address.
  CHECK(nodes.reach(pa, pod_b, at_b, pod_a));
  CHECK(nodes.reach(pb, pod_a, at_a, pod_b));
  CHECK(nodes.reach(nodes.a.space, pod_b, at_b, host_seen_as));

  // The other node gets another address.
  nodes.b.inside([&] { nodes.b.address(moved); });
  for (TestNode* node : {&nodes.a, &nodes.b}) {
    node->inside([&] { node->client.put("nodes", node_json(1, moved, family)); });
    node->settle();
  }
  CHECK(nodes.reach(pa, pod_b, at_b, pod_a));

  // The cable is out and in again: what the kernel dropped meanwhile comes back.
  nodes.a.inside([&] {
    auto netlink = Netlink::open();
    NetlinkMessage down(RTM_NEWLINK, 0, [&] {
      ifinfomsg header{};
      header.ifi_index = (*find_link(*netlink, "eth0"))->index;
      header.ifi_change = IFF_UP;
      return header;
    }());
    REQUIRE(netlink->request(std::move(down), "down").ok());
    nodes.a.loop.run_until([] { return false; }, 50);
    REQUIRE(set_link_up(*netlink, (*find_link(*netlink, "eth0"))->index).ok());
    nodes.a.loop.run_until([] { return false; }, 50);
    if (family.v6) nodes.a.address(family.node(1));  // the kernel keeps no address of IPv6
    CHECK(nodes.a.loop.run_until(
        [&] {
          return nodes.a.overlay->settled() &&
                 list_routes(*netlink, family.v6, kRouteProtocol)->size() == 1;
        },
        kLimitMs));
  });
  CHECK(nodes.reach(pa, pod_b, at_b, pod_a));

  // A route that is deleted alone comes back, too.
  nodes.a.inside([&] {
    auto netlink = Netlink::open();
    Route route = list_routes(*netlink, family.v6, kRouteProtocol)->at(0);
    REQUIRE(delete_route(*netlink, route).ok());
    REQUIRE(list_routes(*netlink, family.v6, kRouteProtocol)->empty());
    CHECK(nodes.a.loop.run_until(
        [&] { return list_routes(*netlink, family.v6, kRouteProtocol)->size() == 1; }, kLimitMs));
  });
  nodes.a.settle();
  CHECK(nodes.reach(pa, pod_b, at_b, pod_a));

  // And is gone.
  CHECK(nodes.a.route_count() == 1);
  nodes.a.inside([&] { nodes.a.client.remove("nodes", node_json(1, moved, family)); });
  nodes.a.settle();
  CHECK(nodes.a.route_count() == 0);
  CHECK(!nodes.a.link("knarrt.1"));
  // The other node gets plug-ins of others.
  CHECK(nodes.b.route_count() == 1);
  nodes.b.overlay_options.backend = NetworkBackend::kNone;
  nodes.b.start_overlay();
  nodes.b.settle();
  CHECK(nodes.b.route_count() == 0);
  CHECK(!nodes.b.link("knarrt.1"));
}

}  // namespace

TEST_CASE("pods of two nodes reach each other through VXLAN", "[root]") {
  in_new_netns([] { pods_reach_each_other(NetworkBackend::kVxlan, kV4, "10.42.0.0"); });
  in_new_netns([] { pods_reach_each_other(NetworkBackend::kVxlan, kV6, "fd00:42:0:1::"); });
}

TEST_CASE("pods of two nodes reach each other by their nodes", "[root]") {
  in_new_netns([] { pods_reach_each_other(NetworkBackend::kHostGw, kV4, "192.0.2.1"); });
  in_new_netns([] { pods_reach_each_other(NetworkBackend::kHostGw, kV6, "2001:db8::1"); });
}

TEST_CASE("a firewall between nodes is told of", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    TwoNodes nodes(NetworkBackend::kVxlan, folder.path());
    for (TestNode* node : {&nodes.a, &nodes.b}) {
      node->hear();
      CHECK(node->overlay->silent().empty());
    }
    nodes.b.inside([] {
      auto blocked = base::run_process({base::find_program("iptables"), "-I", "INPUT", "-p", "udp",
                                        "--dport", "8472", "-j", "DROP"},
                                       {});
      REQUIRE(blocked->exit_code == 0);
    });
    nodes.a.client.requests.clear();
    nodes.a.inside([&] { nodes.a.client.put("nodes", node_json(1, "192.0.2.9")); });
    nodes.a.settle();
    nodes.a.inside([&] { nodes.a.client.put("nodes", node_json(1, "192.0.2.2")); });
    nodes.a.settle();
    nodes.a.hear();
    CHECK(nodes.a.overlay->silent() == std::set<std::string>{"n1"});
    REQUIRE(nodes.a.client.requests.size() == 1);
    CHECK(nodes.a.client.requests[0].body.find("let UDP port 8472 pass") != std::string::npos);
    nodes.a.inside([&] { nodes.a.client.remove("nodes", node_json(1, "192.0.2.2")); });
    CHECK(nodes.a.overlay->silent().empty());
    nodes.a.settle();
  });
}

namespace {

// The two nodes' ends of a server between them, which has packets for n1 all the time.
struct FakeServer {
  explicit FakeServer(TwoNodes& nodes) : nodes_(nodes) { connect(); }
  void connect() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    for (int i : {0, 1}) ends_[i].reset(fds[i]);
    use(nodes_.a, ends_[0]);
    use(nodes_.b, ends_[1]);
    nodes_.b.inside([&] { nodes_.b.overlay->relay().server_is_there(true); });
  }
  static void use(TestNode& node, UniqueFd& end) {
    struct Soon final : net::Pending {
      std::unique_ptr<Timer> timer;
    };
    node.overlay->relay().use([&](RelayPort::Done done) -> std::unique_ptr<net::Pending> {
      auto soon = std::make_unique<Soon>();
      soon->timer = node.loop.timer([&, done] {
        if (!end.valid()) return done(make_error(Code::kServiceUnavailable, "it is in use"));
        done(net::adopt_fd(node.loop, std::move(end)));
      });
      soon->timer->start(0);
      return soon;
    });
  }

 private:
  TwoNodes& nodes_;
  UniqueFd ends_[2];
};

// Both nodes go on while it runs, in a thread.
void meanwhile(TwoNodes& nodes, const std::function<void()>& fn) {
  std::atomic<bool> done = false;
  std::thread thread([&] {
    fn();
    done = true;
  });
  while (!done) {
    for (TestNode* node : {&nodes.a, &nodes.b}) {
      node->inside([&] { node->loop.run_until([] { return false; }, 2); });
    }
  }
  thread.join();
}

void wall(TestNode& node, Family family, const char* verb) {
  node.inside([&] {
    auto done = base::run_process({base::find_program(family.v6 ? "ip6tables" : "iptables"), verb,
                                   "INPUT", "-p", "udp", "--dport", "8472", "-j", "DROP"},
                                  {});
    REQUIRE(done->exit_code == 0);
  });
}

void meet_anew(TwoNodes& nodes, Family family) {
  for (TestNode* node : {&nodes.a, &nodes.b}) {
    for (int i : {0, 1}) {
      for (const std::string& ip : {family.node(i + 8), family.node(i + 1)}) {
        node->inside([&] { node->client.put("nodes", node_json(i, ip, family)); });
        node->settle();
      }
    }
  }
}

void past_a_firewall(Family family) {
  test::TempDir folder;
  TwoNodes nodes(NetworkBackend::kVxlan, folder.path(), family);
  FakeServer server(nodes);
  FakePod pa, pb;
  REQUIRE(nodes.a.attach(pa) == family.pod(0));
  REQUIRE(nodes.b.attach(pb) == family.pod(1));
  UniqueFd at_b;
  pb.inside([&] { at_b = listen_on(8080); });
  auto reached = [&] { return nodes.reach(pa, family.pod(1), at_b, family.pod(0)); };
  bool ok = false;
  wall(nodes.b, family, "-I");
  meet_anew(nodes, family);
  // The second question is answered by nobody, too, but the first was enough.
  meanwhile(nodes, [&] { ok = reached(); });
  CHECK(ok);
  for (TestNode* node : {&nodes.a, &nodes.b}) {
    node->hear();
    CHECK(node->overlay->relay().passing());
    REQUIRE(node->link("knarrt.1r"));
    CHECK(node->link("knarrt.1r")->mtu == node->link("knarrt.1")->mtu);
  }
  // What the other asks gets here, and its answer back by the relay: it is only one way that is
  // closed.
  CHECK(nodes.a.overlay->silent() == std::set<std::string>{"n1"});
  CHECK(nodes.a.route_count() == 2);  // with the spare one
  meanwhile(nodes, [&] { ok = reached(); });
  CHECK(ok);

  // The next process knows it from the start.
  nodes.a.inside([&] { nodes.a.overlay = nullptr; });
  CHECK(nodes.a.link("knarrt.1r"));
  nodes.a.overlay_options.first_wait_ms = 60'000;
  nodes.a.start_overlay();
  server.connect();
  nodes.tell(nodes.a);
  nodes.a.inside([&] {
    nodes.a.loop.run_until([&] { return nodes.a.overlay->relay().passing(); }, kLimitMs);
  });
  meanwhile(nodes, [&] { ok = reached(); });
  CHECK(ok);
  CHECK(nodes.a.overlay->silent().empty());

  wall(nodes.b, family, "-D");
  meet_anew(nodes, family);
  meanwhile(nodes, [&] { ok = reached(); });
  CHECK(ok);
  for (TestNode* node : {&nodes.a, &nodes.b}) {
    node->hear();
    node->settle();
    CHECK(node->overlay->silent().empty());
    CHECK(node->route_count() == 1);
  }
}

}  // namespace

TEST_CASE("what a firewall keeps from a node goes by the server's relay", "[root]") {
  in_new_netns([] { past_a_firewall(kV4); });
  in_new_netns([] { past_a_firewall(kV6); });
}

TEST_CASE("a link to the relay that others take away is made again", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    TwoNodes nodes(NetworkBackend::kVxlan, folder.path());
    FakeServer server(nodes);
    wall(nodes.b, kV4, "-I");
    meet_anew(nodes, kV4);
    for (TestNode* node : {&nodes.a, &nodes.b}) node->hear();
    REQUIRE(nodes.a.route_count() == 2);
    // While there is no server, too.
    nodes.b.overlay->relay().use(nullptr);
    nodes.a.inside([&] {
      CHECK(nodes.a.loop.run_until([&] { return !nodes.a.overlay->relay().passing(); }, kLimitMs));
      auto netlink = Netlink::open();
      int before = (*find_link(*netlink, "knarrt.1r"))->index;
      REQUIRE(delete_link(*netlink, "knarrt.1r").ok());
      auto is_back = [&] {
        auto link = find_link(*netlink, "knarrt.1r");
        return nodes.a.overlay->settled() && *link && (*link)->index != before;
      };
      CHECK(nodes.a.loop.run_until(is_back, kLimitMs));
    });
    CHECK(nodes.a.route_count() == 2);
    CHECK(nodes.a.overlay->relay().attached());
  });
}

TEST_CASE("a link by which the relay brings nothing goes", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    TwoNodes nodes(NetworkBackend::kVxlan, folder.path());
    nodes.b.overlay_options.ask_again_ms = 100;
    nodes.b.start_overlay();
    FakeServer server(nodes);
    nodes.tell(nodes.b);
    auto attached = [&] { return nodes.b.overlay->relay().attached(); };
    auto pass = [&](bool there) {
      nodes.b.inside(
          [&] { CHECK(nodes.b.loop.run_until([&] { return attached() == there; }, kLimitMs)); });
      nodes.b.settle();
      CHECK(nodes.b.link("knarrt.1r").has_value() == there);
    };
    pass(true);
    pass(false);
    nodes.b.overlay->relay().server_is_there(true);
    pass(true);
    // The next process does not know for whom it is, and lets it be for a while.
    nodes.b.start_overlay();
    nodes.b.overlay->relay().use([](const RelayPort::Done&) { return nullptr; });
    nodes.tell(nodes.b);
    pass(true);
  });
}

TEST_CASE("without a link to the relay all is as before it", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    TwoNodes nodes(NetworkBackend::kVxlan, folder.path());
    FakeServer server(nodes);
    nodes.a.inside([] {  // another's link of that name
      auto netlink = Netlink::open();
      std::string mac = mac_of(*api::IpAddress::parse("1.2.3.4"));
      REQUIRE(create_bridge(*netlink, "knarrt.1r", mac, 1400).ok());
    });
    wall(nodes.b, kV4, "-I");
    meet_anew(nodes, kV4);
    nodes.a.hear();
    nodes.a.settle();
    CHECK(nodes.a.overlay->silent().size() == 1);
    CHECK(!nodes.a.overlay->relay().attached());
    CHECK(nodes.a.route_count() == 1);
    CHECK(nodes.a.link("knarrt.1r")->kind == "bridge");
    // Until there can be one.
    nodes.a.inside([&] {
      auto netlink = Netlink::open();
      REQUIRE(delete_link(*netlink, "knarrt.1r").ok());
      CHECK(nodes.a.loop.run_until([&] { return nodes.a.overlay->relay().attached(); }, kLimitMs));
    });
    nodes.a.settle();
    CHECK(nodes.a.link("knarrt.1r")->kind == "tun");
    CHECK(nodes.a.route_count() == 2);
  });
}

TEST_CASE("a VXLAN device that is taken away comes back", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    TwoNodes nodes(NetworkBackend::kVxlan, folder.path());
    auto before = nodes.a.link("knarrt.1");
    REQUIRE(before);
    CHECK(before->mtu == 1450);
    CHECK(nodes.a.link("knarrt0")->mtu == 1450);
    nodes.a.inside([&] {
      auto netlink = Netlink::open();
      // Somebody else's entry goes, ours come back.
      LinkEntry strange{mac_of(*api::IpAddress::parse("9.9.9.9")),
                        *api::IpAddress::parse("192.0.2.99")};
      REQUIRE(set_entry(*netlink, EntryKind::kForwarding, before->index, strange).ok());
      OverlayLinks links(nodes.a.overlay_options);
      auto plan =
          plan_overlay(nodes.a.overlay_options,
                       {{"n0", parse_overlay_node(*json::parse(node_json(0, "192.0.2.1")))},
                        {"n1", parse_overlay_node(*json::parse(node_json(1, "192.0.2.2")))}});
      REQUIRE(links.apply(*plan).ok());
      CHECK(*list_entries(*netlink, EntryKind::kForwarding, before->index) == plan->forwarding);
      CHECK(*list_entries(*netlink, EntryKind::kNeighbour, before->index) == plan->neighbours);
      CHECK((*find_link(*netlink, "knarrt.1"))->index == before->index);

      // Another's link of the name that is configured.
      OverlayOptions others = nodes.a.overlay_options;
      others.device = "knarrt.2";
      REQUIRE(create_bridge(*netlink, others.device, plan->vtep->mac, 1400).ok());
      OverlayLinks refused(others);
      Result<void> conflict = refused.apply(*plan);
      REQUIRE(!conflict.ok());
      CHECK(conflict.error().code == Code::kConflict);
      CHECK(conflict.error().message == "link knarrt.2 is not a VXLAN device");
      CHECK(refused.apply({}).ok());
      CHECK((*find_link(*netlink, others.device))->kind == "bridge");
      REQUIRE(delete_link(*netlink, others.device).ok());

      REQUIRE(delete_link(*netlink, "knarrt.1").ok());
      CHECK(nodes.a.loop.run_until(
          [&] {
            return nodes.a.overlay->settled() && find_link(*netlink, "knarrt.1")->has_value() &&
                   list_routes(*netlink, false, kRouteProtocol)->size() == 1;
          },
          kLimitMs));
    });
  });
}
