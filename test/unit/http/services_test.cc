// Services: what a write of one takes of addresses and ports, keeps and gives back.

#include "server/registry/service_update.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

namespace {

const std::string kServices = "/api/v1/namespaces/default/services";

json::Value parsed(const char* text) { return *json::parse(text); }

}  // namespace

TEST_CASE("what an update of a service keeps, and what it drops") {
  struct Row {
    const char* what;
    const char* before;
    const char* now;
    const char* expected;
  };
  const Row rows[] = {
      {"ports keep their node ports by name, whatever else of them changes",
       R"({"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":30001},)"
       R"({"name":"b","port":81,"nodePort":30002}]})",
       R"({"type":"NodePort","ports":[{"name":"b","port":90},{"name":"a","port":80}]})",
       R"({"type":"NodePort","ports":[{"name":"b","port":90,"nodePort":30002},)"
       R"({"name":"a","port":80,"nodePort":30001}]})"},
      {"but not one that another port asks for",
       R"({"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":30001}]})",
       R"({"type":"NodePort","ports":[{"name":"a","port":80},)"
       R"({"name":"b","port":81,"nodePort":30001}]})",
       R"({"type":"NodePort","ports":[{"name":"a","port":80},)"
       R"({"name":"b","port":81,"nodePort":30001}]})"},
      {"a client that knows only clusterIP",
       R"({"type":"ClusterIP","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]})",
       R"({"type":"ClusterIP","clusterIP":"10.0.0.1"})",
       R"({"type":"ClusterIP","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]})"},
      {"a client that knows neither",
       R"({"type":"ClusterIP","clusterIP":"None","clusterIPs":["None"]})",
       R"({"type":"ClusterIP"})",
       R"({"type":"ClusterIP","clusterIP":"None","clusterIPs":["None"]})"},
      {"an ExternalName has none of it",
       R"({"type":"LoadBalancer","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],)"
       R"("ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","externalTrafficPolicy":"Local",)"
       R"("healthCheckNodePort":30009,"ports":[{"port":80,"nodePort":30001}]})",
       R"({"type":"ExternalName","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],)"
       R"("ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","externalTrafficPolicy":"Local",)"
       R"("healthCheckNodePort":30009,"ports":[{"port":80,"nodePort":30001}]})",
       R"({"type":"ExternalName","ports":[{"port":80}]})"},
      {"a node port asked for where none may be is left to validation",
       R"({"type":"NodePort","ports":[{"port":80,"nodePort":30001}]})",
       R"({"type":"ClusterIP","ports":[{"port":80,"nodePort":30002}]})",
       R"({"type":"ClusterIP","ports":[{"port":80,"nodePort":30002}]})"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    json::Value before = parsed(row.before);
    json::Value now = parsed(row.now);
    keep_allocated(now, before);
    drop_unneeded(now, before);
    CHECK(now == parsed(row.expected));
  }
}

TEST_CASE("addresses are decided on before the rest is looked at") {
  Cluster c;
  json::Value refused =
      c.call("POST", kServices, R"({"metadata":{"name":"Bad"},"spec":{"ipFamilyPolicy":"Both"}})");
  CHECK(c.status == 422);
  CHECK(refused["details"]["causes"].size() == 1);
  CHECK(refused["details"]["causes"][0]["field"].as_string() == "spec.ipFamilyPolicy");
  refused = c.call("POST", kServices,
                   R"({"metadata":{"name":"s"},"spec":{"clusterIP":"10.43.0.77","ports":[]}})");
  CHECK(refused["details"]["causes"][0]["field"].as_string() == "spec.ports");
  // What is refused gives back what it took.
  c.call("POST", kServices,
         R"({"metadata":{"name":"s"},"spec":{"clusterIP":"10.43.0.77","ports":[{"port":80}]}})");
  CHECK(c.status == 201);
  refused = c.patch(kServices + "/s", R"({"spec":{"clusterIP":"10.43.0.78"}})");
  CHECK(c.status == 422);
  CHECK(refused["details"]["causes"][0]["message"].as_string() ==
        "Invalid value: [\"10.43.0.78\"]: may not change once set");
}

TEST_CASE("one node port of a service serves a protocol once") {
  Cluster c;
  c.call("POST", kServices,
         R"({"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[
           {"name":"a","port":80,"nodePort":30100}]}})");
  REQUIRE(c.status == 201);
  json::Value twice = c.patch(kServices + "/s", R"({"spec":{"ports":[
      {"name":"a","port":80,"nodePort":30100},{"name":"b","port":81,"nodePort":30100}]}})");
  CHECK(c.status == 500);
  CHECK(twice["message"].as_string() == "duplicate nodePort: {TCP 30100}");
}

TEST_CASE("an update that is the deletion keeps no port") {
  Cluster c;
  json::Value s = c.call("POST", kServices,
                         R"({"metadata":{"name":"s","finalizers":["a.io/b"]},
                           "spec":{"ports":[{"port":80}]}})");
  REQUIRE(c.status == 201);
  s = c.call("DELETE", kServices + "/s");
  s = c.call("GET", kServices + "/s");
  REQUIRE(s["metadata"].has("deletionTimestamp"));
  s.member("metadata").erase("finalizers");
  s.member("spec").set("type", "NodePort");
  s.member("spec").set("ports", json::Value::array({json::Value::object(
                                    {{"port", 80}, {"protocol", "TCP"}, {"nodePort", 30005}})}));
  c.call("PUT", kServices + "/s", json::write(s));
  REQUIRE(c.status == 200);
  c.call("GET", kServices + "/s");
  REQUIRE(c.status == 404);
  c.call("POST", kServices,
         R"({"metadata":{"name":"t"},"spec":{"type":"NodePort","ports":[
           {"port":80,"nodePort":30005}]}})");
  CHECK(c.status == 201);
}
