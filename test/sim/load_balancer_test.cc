// Services of type LoadBalancer get the addresses of nodes, in virtual time.
#include "server/controllers/load_balancer.h"

#include <catch2/catch.hpp>

#include "api/view/meta.h"
#include "cluster.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using knarr::sim::Cluster;

namespace {

const NamespacedName kWeb{"default", "web"};

struct Balanced : Cluster {
  Balanced() : Cluster(1) {
    start();
    add("n1", "192.0.2.1", "");
    add("n2", "192.0.2.2", "198.51.100.2");
    REQUIRE(eventually([&] { return !get(kServiceAccounts, {"default", "default"}).is_null(); }));
  }
  void add(const std::string& name, const std::string& internal, const std::string& external) {
    add_node(name);
    json::Value addresses = json::Value::array();
    auto put = [&](const char* type, const std::string& ip) {
      if (ip.empty()) return;
      addresses.push_back(json::Value::object({{"type", type}, {"address", ip}}));
    };
    put("InternalIP", internal);
    put("ExternalIP", external);
    json::Value status = json::Value::object({{"addresses", std::move(addresses)}});
    REQUIRE(
        call(patch_request(kNodes, {"", name}, json::Value::object({{"status", std::move(status)}}),
                           client::PatchType::kMerge, "status"))
            .ok());
  }
  void service(const std::string& name, int port, const char* more = "{}") {
    json::Value spec = *json::parse(more);
    json::Value ports = json::Value::array({json::Value::object({{"port", port}})});
    spec.set("type", "LoadBalancer");
    if (!spec.has("ports")) spec.set("ports", std::move(ports));
    if (!spec.has("selector")) spec.set("selector", json::Value::object({{"app", name}}));
    REQUIRE(create(kServices, "default",
                   json::Value::object({{"metadata", json::Value::object({{"name", name}})},
                                        {"spec", std::move(spec)}}))
                .ok());
  }
  std::string ingress(const NamespacedName& name) const {
    std::string out;
    json::Value service = get(kServices, name);
    for (const json::Value& entry : service["status"]["loadBalancer"]["ingress"].elements()) {
      out += entry["ip"].text() + "/" + entry["ipMode"].text() + " ";
    }
    return out;
  }
  bool becomes(const std::string& expected, const NamespacedName& name = kWeb) {
    bool is = eventually([&] { return ingress(name) == expected; });
    INFO(ingress(name));
    CHECK(ingress(name) == expected);
    return is && eventually([&] { return controllers().idle(); });
  }
};

constexpr char kBoth[] = "192.0.2.1/VIP 198.51.100.2/VIP ";

}  // namespace

TEST_CASE("a load balancer is the nodes, as long as it is one") {
  Balanced c;
  c.service("web", 80);
  REQUIRE(c.becomes(kBoth));
  SECTION("nodes come, go, and are excluded") {
    c.add("n3", "192.0.2.3", "");
    CHECK(c.becomes("192.0.2.1/VIP 198.51.100.2/VIP 192.0.2.3/VIP "));
    REQUIRE(c.patch(kNodes, {"", "n2"}, R"({"metadata":{"labels":
        {"node.kubernetes.io/exclude-from-external-load-balancers":""}}})")
                .ok());
    CHECK(c.becomes("192.0.2.1/VIP 192.0.2.3/VIP "));
    c.silence("n1");
    CHECK(c.becomes("192.0.2.3/VIP "));
    REQUIRE(c.remove(kNodes, {"", "n3"}).ok());
    CHECK(c.becomes(""));
  }
  SECTION("a label chooses nodes") {
    REQUIRE(c.patch(kNodes, {"", "n1"},
                    R"({"metadata":{"labels":{"svccontroller.knarr.io/enablelb":"true"}}})")
                .ok());
    CHECK(c.becomes("192.0.2.1/VIP "));
  }
  SECTION("another type has no addresses") {
    REQUIRE(c.patch(kServices, kWeb, R"({"spec":{"type":"ClusterIP"}})").ok());
    CHECK(c.becomes(""));
  }
  SECTION("after a restart nothing has changed") {
    int64_t before = c.get(kServices, kWeb)["metadata"]["resourceVersion"].as_int();
    c.restart();
    CHECK(c.becomes(kBoth));
    CHECK(c.get(kServices, kWeb)["metadata"]["resourceVersion"].as_int() == before);
  }
}

TEST_CASE("policy Local: only nodes with a ready endpoint") {
  Balanced c;
  c.service("web", 80, R"({"externalTrafficPolicy":"Local"})");
  REQUIRE(c.becomes(""));
  json::Value pod = *json::parse(R"({"metadata":{"name":"p","labels":{"app":"web"}},
      "spec":{"nodeName":"n2","containers":[{"name":"c","image":"i"}]}})");
  REQUIRE(c.create(kPods, "default", pod).ok());
  CHECK(c.becomes("198.51.100.2/VIP "));
  REQUIRE(c.remove(kPods, {"default", "p"}).ok());
  CHECK(c.becomes(""));
}

TEST_CASE("a port belongs to the oldest service that asks for it") {
  Balanced c;
  c.service("web", 80);
  REQUIRE(c.becomes(kBoth));
  c.clock.run_until([] { return false; }, 2000);
  c.service("late", 80);
  c.service("other", 81);
  c.service("api", 6443);
  CHECK(c.becomes(kBoth, {"default", "other"}));
  CHECK(c.becomes("", {"default", "late"}));
  CHECK(c.becomes("", {"default", "api"}));
  c.service("tunnel", 82, R"({"ports":[{"port":8472,"protocol":"UDP"}]})");
  c.service("same", 8472);  // TCP
  CHECK(c.becomes(kBoth, {"default", "same"}));
  CHECK(c.becomes("", {"default", "tunnel"}));
  REQUIRE(c.remove(kServices, kWeb).ok());
  CHECK(c.becomes(kBoth, {"default", "late"}));
}

TEST_CASE("a service of another's class is let alone") {
  Balanced c;
  c.service("web", 80, R"({"loadBalancerClass":"example.com/lb"})");
  CHECK(c.eventually([&] { return c.controllers().idle(); }));
  CHECK(c.ingress(kWeb).empty());
}

TEST_CASE("addresses of a node, by the service's families") {
  json::Value service = *json::parse(R"({"spec":{"ipFamilies":["IPv6","IPv4"]}})");
  BalancerNode node = balancer_node(*json::parse(R"({"status":{"conditions":[{"type":"Ready",
      "status":"True"}],"addresses":[{"type":"Hostname","address":"n"},
      {"type":"InternalIP","address":"192.0.2.1"},{"type":"InternalIP","address":"fd00::1"},
      {"type":"ExternalIP","address":"198.51.100.1"}]}})"));
  CHECK(node.usable);
  json::Value ingress = balancer_ingress(service, {{"n", node}}, {});
  REQUIRE(ingress.size() == 2);
  CHECK(ingress[0]["ip"].as_string() == "fd00::1");
  CHECK(ingress[1]["ip"].as_string() == "198.51.100.1");
}
