#include "agent/proxy/service_watch.h"

#include <catch2/catch.hpp>

#include "unit/agent_proxy/fake_watch_client.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

std::string service(const std::string& ns, const std::string& name, const std::string& ip) {
  return R"({"metadata":{"namespace":")" + ns + R"(","name":")" + name +
         R"("},"spec":{"clusterIP":")" + ip + R"(","ports":[{"port":80}]}})";
}

std::string slice(const std::string& name, const std::string& owner) {
  return R"({"metadata":{"namespace":"a","name":")" + name +
         R"(","labels":{"kubernetes.io/service-name":")" + owner +
         R"("}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}]})";
}

}  // namespace

TEST_CASE("services and slices are told once both lists are complete, and then when they change") {
  FakeWatchClient client;
  ServiceWatch watch(client);
  int changes = 0;
  watch.on_change([&] { changes++; });
  watch.start();
  client.put("services", service("a", "web", "10.43.0.2"));
  client.put("endpointslices", slice("web-1", "web"));
  CHECK(changes == 0);
  client.sync();
  CHECK(changes == 1);
  CHECK(watch.synced());
  client.put("services", service("a", "web", "10.43.0.2"));  // the same again
  client.put("endpointslices", slice("web-1", "web"));
  CHECK(changes == 1);
  client.put("services", service("a", "web", "10.43.0.3"));
  CHECK(changes == 2);
  using Names = std::set<NamespacedName>;
  CHECK(watch.take_changed() == Names{{"a", "web"}});
  CHECK(watch.take_changed().empty());
  client.put("endpointslices", slice("web-1", "other"));  // now another service's
  CHECK(changes == 3);
  CHECK(watch.take_changed() == Names{{"a", "other"}, {"a", "web"}});
  CHECK(watch.state().slices.count({"a", "web"}) == 0);
  CHECK(watch.state().slices.at({"a", "other"}).size() == 1);
  client.remove("endpointslices", slice("web-1", "other"));
  client.remove("services", service("a", "web", "10.43.0.3"));
  CHECK(changes == 5);
  CHECK(watch.take_changed() == Names{{"a", "other"}, {"a", "web"}});
  CHECK(watch.state().slices.empty());
  CHECK(watch.state().services.empty());
}

TEST_CASE("a pod's services are those of its namespace and the API's") {
  FakeWatchClient client;
  ServiceWatch watch(client);
  watch.start();
  client.put("services", service("a", "web", "10.43.0.2"));
  client.put("services", service("b", "db", "10.43.0.3"));
  client.put("services", service("default", "kubernetes", "10.43.0.1"));
  CHECK(watch.services("a").size() == 2);
  CHECK(watch.services("default").size() == 1);
  CHECK(watch.services("none").size() == 1);
}
