// The whole data path, in network namespaces of the test's own: pods that reach each other, the
// host, services, themselves through a service, host ports and DNS.
#include "agent/network/bridge_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>

#include "agent/dns/dns_server.h"
#include "agent/network/machine_settings.h"
#include "agent/network/rtnetlink.h"
#include "agent/proxy/service_proxy.h"
#include "base/file.h"
#include "base/format.h"
#include "base/random.h"
#include "base/run_process.h"
#include "net/dns.h"
#include "temp_dir.h"
#include "unit/agent_network/fake_pod.h"
#include "unit/agent_proxy/fake_watch_client.h"
#include "unit/agent_proxy/net_sandbox.h"

using namespace knarr;
using namespace knarr::agent;
using base::UniqueFd;

namespace {

constexpr int64_t kLimitMs = 20'000;

PodRef pod_object(const std::string& ports = "[]") {
  auto object = std::make_shared<Object>();
  object->name = {"default", "p"};
  object->json = R"({"metadata":{"name":"p","namespace":"default","uid":"u"},"spec":{"containers":
      [{"name":"c","image":"i","ports":)" +
                 ports + "}]}}";
  return *Pod::parse(object);
}

// A node in the namespace of the calling thread.
struct Node {
  explicit Node(const std::string& state_dir) {
    options.bridge = "knarrt0";
    options.service_cidr = "10.43.0.0/16";
    options.host_addresses = {"10.43.0.10"};
    options.state_dir = state_dir;
    auto netlink = Netlink::open();
    static_cast<void>(set_link_up(*netlink, 1).ok());  // loopback
    start();
  }
  void start() {
    iptables = std::make_unique<Iptables>(loop, IptablesOptions{"KT", 14, {}});
    network = std::make_unique<BridgeNetwork>(loop, *iptables, options);
  }
  void restart() {
    network = nullptr;
    iptables = nullptr;
    start();
  }
  Result<void> range() {
    bool done = false;
    TRY(network->set_pod_cidr("10.42.0.0/24", [&] { done = true; }));
    loop.run_until([&] { return done; }, kLimitMs);
    return {};
  }
  Result<std::string> attach(const std::string& sandbox, const FakePod& pod,
                             const std::string& ports = "[]") {
    bool done = false;
    Result<std::string> address = std::string();
    network->attach(pod_object(ports), sandbox, pod.path(),
                    [&](Result<std::vector<std::string>> r) {
                      done = true;
                      address = r.ok() ? Result<std::string>(r->at(0)) : r.error();
                    });
    loop.run_until([&] { return done; }, kLimitMs);
    return address;
  }
  bool detach(const std::string& sandbox) {
    bool done = false, ok = false;
    network->detach(sandbox, [&](const Result<void>& r) {
      ok = r.ok();
      done = true;
    });
    loop.run_until([&] { return done; }, kLimitMs);
    return ok;
  }
  void settle() {  // all rules are in place
    bool done = false;
    iptables->set(RulePart::kPolicy, {}, [&](const Result<void>&) { done = true; });
    loop.run_until([&] { return done; }, kLimitMs);
  }

  base::Loop loop;
  BridgeOptions options;
  std::unique_ptr<Iptables> iptables;
  std::unique_ptr<BridgeNetwork> network;
};

UniqueFd bound_to(uint16_t port) {
  UniqueFd fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SocketAddress a("::", port);  // of both families
  if (bind(fd.get(), a.get(), a.size) != 0) return {};
  return fd;
}

// The address itself, in a datagram by eth0.
void send_to(const std::string& ip, uint16_t port) {
  SocketAddress a(ip, port);
  UniqueFd fd(socket(a.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5);
  sendto(fd.get(), ip.data(), ip.size(), 0, a.get(), a.size);
}

// The first datagram.
std::string heard_by(const UniqueFd& fd) {
  char buffer[64];
  pollfd p{fd.get(), POLLIN, 0};
  if (poll(&p, 1, 3000) != 1) return {};
  return {buffer, static_cast<size_t>(recv(fd.get(), buffer, sizeof buffer, 0))};
}

size_t link_count() {
  auto netlink = Netlink::open();
  return list_links(*netlink)->size();
}

}  // namespace

TEST_CASE("pods reach each other, the host reaches them, and all is undone", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    Node node(folder.path() + "/network");
    size_t links = link_count();
    FakePod a, b;
    REQUIRE(node.range().ok());
    REQUIRE(*node.attach("box-a", a) == "10.42.0.2");
    REQUIRE(*node.attach("box-b", b) == "10.42.0.3");
    UniqueFd listener;
    b.inside([&] { listener = listen_on(8080); });
    bool ok = false;
    a.inside([&] { ok = connects("10.42.0.3", 8080); });
    CHECK(ok);
    CHECK(accepted_from(listener) == "10.42.0.2");
    CHECK(connects("10.42.0.3", 8080));
    CHECK(accepted_from(listener) == "10.42.0.1");
    b.inside([&] { ok = connects("127.0.0.1", 8080); });
    CHECK(ok);
    // What listens on the host's loopback alone is not for pods.
    UniqueFd host = listen_on(9090);
    node.settle();
    a.inside([&] { ok = connects("10.42.0.1", 9090); });
    CHECK(ok);

    CHECK(node.detach("box-a"));
    CHECK(node.detach("box-a"));
    CHECK(link_count() == links + 2);
    // What the machine's settings were is kept, and the later value counts.
    const std::string kept = node.options.state_dir + kSettingsBefore;
    const std::string forward = "/proc/sys/net/ipv4/ip_forward";
    CHECK(*base::read_file(kept) == forward + " 0\n/proc/sys/net/ipv4/conf/all/send_redirects 1\n");
    REQUIRE(change_machine_setting(forward, "0", node.options.state_dir).ok());
    CHECK(*base::read_file(kept) ==
          "/proc/sys/net/ipv4/conf/all/send_redirects 1\n" + forward + " 1\n");
  });
}

TEST_CASE("the machine's own network namespace is never taken for a pod's", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    Node node(folder.path());
    FakePod reused;
    reused.fd_.reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    REQUIRE(node.range().ok());
    size_t links = link_count();
    auto attached = node.attach("box-a", reused);
    REQUIRE_FALSE(attached.ok());
    CHECK(attached.error().message.find("is the network namespace of the machine itself") !=
          std::string::npos);
    CHECK(link_count() == links);
  });
}

TEST_CASE("after a restart pods keep their addresses; what is gone is freed", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    Node node(folder.path());
    FakePod a, b, c;
    REQUIRE(node.range().ok());
    REQUIRE(*node.attach("box-a", a, R"([{"containerPort":80,"hostPort":8080}])") == "10.42.0.2");
    REQUIRE(*node.attach("box-b", b) == "10.42.0.3");
    node.restart();
    node.network->keep_only({"box-b"});
    REQUIRE(node.range().ok());
    CHECK(*node.attach("box-b", b) == "10.42.0.3");
    CHECK(*node.attach("box-c", c) == "10.42.0.4");
    node.settle();
    std::string rules = base::run_process({base::find_program("iptables-save")}, {})->out;
    CHECK(rules.find("8080") == std::string::npos);
    UniqueFd listener;
    c.inside([&] { listener = listen_on(80); });
    bool ok = false;
    b.inside([&] { ok = connects("10.42.0.4", 80); });
    CHECK(ok);
  });
}

TEST_CASE("a bridge that others take away comes back with its pods", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    Node node(folder.path());
    FakePod a, b, c;
    auto netlink = Netlink::open();
    // It can't be had at first: somebody's link of another kind has its name.
    FakePod other;
    int refused = 0;
    REQUIRE(create_veth(*netlink, {"knarrt0", "eth0", "\x0a\x58\x01\x01\x01\x01", other.fd_.get()},
                        &refused)
                .ok());
    bool made = false;
    REQUIRE(node.network->set_pod_cidr("10.42.0.0/24", [&] { made = true; }).ok());
    node.loop.run_until([&] { return made; }, 300);
    CHECK(!made);
    REQUIRE(delete_link(*netlink, "knarrt0").ok());
    CHECK(node.loop.run_until([&] { return made; }, kLimitMs));

    REQUIRE(node.attach("box-a", a).ok());
    REQUIRE(node.attach("box-b", b).ok());
    UniqueFd listener;
    b.inside([&] { listener = listen_on(8080); });
    auto reached = [&] {
      bool ok = false;
      a.inside([&] { ok = connects("10.42.0.3", 8080); });
      return ok && accepted_from(listener) == "10.42.0.2";
    };
    CHECK(reached());
    REQUIRE(delete_link(*netlink, "knarrt0").ok());
    auto is_on_bridge = [&](const std::string& sandbox) {
      auto bridge = find_link(*netlink, "knarrt0");
      auto port = find_link(*netlink, host_link_name(sandbox));
      return *bridge && *port && (*port)->master == (*bridge)->index;
    };
    CHECK(node.loop.run_until([&] { return is_on_bridge("box-a") && is_on_bridge("box-b"); },
                              kLimitMs));
    CHECK(reached());
    CHECK(node.attach("box-c", c).ok());
  });
}

TEST_CASE("host ports, from the host's loopback and from a pod", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    Node node(folder.path());
    FakePod a, b;
    REQUIRE(node.range().ok());
    REQUIRE(node.attach("box-a", a, R"([{"containerPort":80,"hostPort":8080}])").ok());
    REQUIRE(node.attach("box-b", b).ok());
    UniqueFd listener;
    a.inside([&] { listener = listen_on(80); });
    CHECK(connects("127.0.0.1", 8080));
    CHECK(accepted_from(listener) == "10.42.0.1");
    bool from_b = false, from_self = false;
    b.inside([&] { from_b = connects("10.42.0.1", 8080); });
    CHECK(from_b);
    CHECK(accepted_from(listener) == "10.42.0.3");
    a.inside([&] { from_self = connects("10.42.0.1", 8080); });
    CHECK(from_self);
    CHECK(accepted_from(listener) == "10.42.0.1");
    REQUIRE(node.detach("box-a"));
    node.settle();
    CHECK(!connects("127.0.0.1", 8080));
  });
}

TEST_CASE("services and names, from pods and from the host", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    Node node(folder.path());
    FakePod a, b;
    REQUIRE(node.range().ok());
    REQUIRE(node.attach("box-a", a).ok());
    REQUIRE(node.attach("box-b", b).ok());
    FakeWatchClient client;
    ServiceWatch watch(client);
    ServiceProxy proxy(node.loop, watch, *node.iptables,
                       {"", "n1", "10.42.0.0/16", "", {"10.43.0.10"}});
    watch.on_change([&] { proxy.changed(); });
    watch.start();
    client.put("services", R"({"metadata":{"namespace":"default","name":"web"},"spec":
      {"clusterIP":"10.43.7.7","ports":[{"port":80,"nodePort":30080}]}})");
    client.put("services", R"({"metadata":{"namespace":"default","name":"none"},"spec":
      {"clusterIP":"10.43.7.8","ports":[{"port":80}]}})");
    client.put("endpointslices", R"({"metadata":{"namespace":"default","name":"web-1","labels":
      {"kubernetes.io/service-name":"web"}},"addressType":"IPv4","ports":[{"port":8080}],
      "endpoints":[{"addresses":["10.42.0.2"],"nodeName":"n1"}]})");
    client.sync();
    REQUIRE(node.loop.run_until(
        [&] {
          return base::run_process({base::find_program("iptables-save")}, {})
                     ->out.find("10.42.0.2:8080") != std::string::npos;
        },
        kLimitMs));
    UniqueFd listener;
    a.inside([&] { listener = listen_on(8080); });
    bool ok = false;
    b.inside([&] { ok = connects("10.43.7.7", 80); });
    CHECK(ok);
    CHECK(accepted_from(listener) == "10.42.0.3");
    a.inside([&] { ok = connects("10.43.7.7", 80); });  // itself, through the service
    CHECK(ok);
    CHECK(accepted_from(listener) == "10.42.0.1");
    CHECK(connects("10.43.7.7", 80));
    CHECK(accepted_from(listener) == "10.42.0.1");
    CHECK(connects("127.0.0.1", 30080));
    CHECK(accepted_from(listener) == "10.42.0.1");
    auto begin = std::chrono::steady_clock::now();
    b.inside([&] { ok = connects("10.43.7.8", 80); });
    CHECK(!ok);
    CHECK(!connects("10.43.7.8", 80));
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));  // refused

    base::SeededRandom random(1);
    DnsServer dns(node.loop, watch, random, {"10.43.0.10", 53, "cluster.local", "/dev/null", 5});
    REQUIRE(dns.start().ok());
    UniqueFd query;
    b.inside([&] { query.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); });
    net::dns::Message message;
    message.id = 7;
    message.questions.push_back({"web.default.svc.cluster.local", net::dns::kA});
    std::string bytes = net::dns::write(message);
    sockaddr_in to = address("10.43.0.10", 53);
    REQUIRE(sendto(query.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to),
                   sizeof to) > 0);
    char buffer[512];
    ssize_t n = -1;
    REQUIRE(
        node.loop.run_until([&] { return (n = recv(query.get(), buffer, 512, 0)) > 0; }, kLimitMs));
    auto answer = net::dns::parse({buffer, static_cast<size_t>(n)});
    REQUIRE(answer.ok());
    CHECK(std::get<net::dns::Address>(answer->answers.at(0).data).text == "10.43.7.7");
  });
}

TEST_CASE("in dual stack pods have an address of each family, at once", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    base::Loop loop;
    BridgeOptions options;
    options.bridge = "knarrt0";
    options.cluster_cidr = "10.42.0.0/16,fd00:42::/56";
    options.service_cidr = "10.43.0.0/16,fd00:43::/112";
    options.state_dir = folder.path();
    Iptables v4(loop, {"KT", 14, {}}), v6(loop, {"KT", 14, {}, 15, true});
    NodeRules rules({&v4, &v6});
    BridgeNetwork network(loop, rules, options);
    auto netlink = Netlink::open();
    REQUIRE(set_link_up(*netlink, 1).ok());
    REQUIRE(network.set_pod_cidr("10.42.0.0/24,fd00:42::/64").ok());
    FakePod a, b;
    auto attach = [&](const char* box, const FakePod& pod, const std::string& ports) {
      std::vector<std::string> out;
      network.attach(pod_object(ports), box, pod.path(), [&](Result<std::vector<std::string>> r) {
        out = r.ok() ? *r : std::vector<std::string>{r.error().message};
      });
      loop.run_until([&] { return !out.empty(); }, kLimitMs);
      return out;
    };
    REQUIRE(attach("box-a", a, "[]") == std::vector<std::string>{"10.42.0.2", "fd00:42::2"});
    REQUIRE(attach("box-b", b, R"([{"containerPort":8080,"hostPort":8081}])") ==
            std::vector<std::string>{"10.42.0.3", "fd00:42::3"});
    UniqueFd listener;
    b.inside([&] { listener = listen_on(8080); });
    for (const char* to : {"10.42.0.3", "fd00:42::3"}) {
      INFO(to);
      bool ok = false;
      a.inside([&] { ok = connects(to, 8080); });
      CHECK(ok);
      CHECK(accepted_from(listener) == (to[0] == 'f' ? "fd00:42::2" : "10.42.0.2"));
      CHECK(connects(to, 8080));
      CHECK(accepted_from(listener) == (to[0] == 'f' ? "fd00:42::1" : "10.42.0.1"));
    }
    // Nothing leads past the host's rules: no addresses of the link, no broadcast.
    std::string own;
    a.inside([&] {
      own = base::run_process({base::find_program("ip"), "address", "show", "scope", "link"}, {})
                ->out;
    });
    CHECK(own.find("inet") == std::string::npos);
    UniqueFd hears;
    b.inside([&] { hears = bound_to(9999); });
    a.inside([&] {
      for (const char* to : {"ff02::1", "255.255.255.255", "fd00:42::3"}) send_to(to, 9999);
    });
    CHECK(heard_by(hears) == "fd00:42::3");
    bool ok = false;
    a.inside([&] { ok = connects("fd00:42::1", 8081); });  // the host port
    CHECK(ok);
    CHECK(accepted_from(listener) == "fd00:42::2");
    bool done = false;
    network.detach("box-a", [&](const Result<void>& r) { done = r.ok(); });
    CHECK(loop.run_until([&] { return done; }, kLimitMs));
    std::string neighbours = base::run_process({base::find_program("ip"), "-6", "neigh"}, {})->out;
    CHECK(neighbours.find("fd00:42::2 ") == std::string::npos);
    CHECK(neighbours.find("fd00:42::3 dev knarrt0 lladdr") != std::string::npos);
    CHECK(base::read_file(options.state_dir + kSettingsBefore)
              ->find("/proc/sys/net/ipv6/conf/all/forwarding 0\n") != std::string::npos);
  });
}

TEST_CASE("an attachment is a matter of a millisecond or two", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    Node node(folder.path());
    REQUIRE(node.range().ok());
    node.settle();
    std::vector<FakePod> pods(40);
    std::vector<double> attach_ms, detach_ms;
    auto timed = [](std::vector<double>& to, const std::function<bool()>& fn) {
      auto begin = std::chrono::steady_clock::now();
      bool ok = fn();
      std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
      to.push_back(took.count());
      return ok;
    };
    for (size_t i = 0; i < pods.size(); i++) {
      REQUIRE(timed(attach_ms, [&] { return node.attach(std::to_string(i), pods[i]).ok(); }));
    }
    for (size_t i = 0; i < pods.size(); i++) {
      REQUIRE(timed(detach_ms, [&] { return node.detach(std::to_string(i)); }));
    }
    std::sort(attach_ms.begin(), attach_ms.end());
    std::sort(detach_ms.begin(), detach_ms.end());
    WARN("attach p50 " << attach_ms[20] << " ms, p95 " << attach_ms[38] << " ms; detach p50 "
                       << detach_ms[20] << " ms");
  });
}
