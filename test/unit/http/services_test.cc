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

namespace {

server::ApiServerOptions with_ranges(const std::string& cidrs, const std::string& advertised) {
  server::ApiServerOptions o = Cluster::options(AuthorizationMode::kAlwaysAllow);
  o.service_cidr = cidrs;
  o.advertise_address = advertised;
  return o;
}

std::string families(const json::Value& service) {
  const json::Value& spec = service["spec"];
  std::string out = spec["ipFamilyPolicy"].text();
  for (const json::Value& f : spec["ipFamilies"].elements()) out += " " + f.text();
  for (const json::Value& ip : spec["clusterIPs"].elements()) {
    bool v6 = ip.as_string().starts_with("fd00:43::");
    out += v6 ? " v6" : ip.as_string().starts_with("10.43.") ? " v4" : " " + ip.text();
  }
  return out;
}

}  // namespace

TEST_CASE("services of a dual-stack cluster") {
  Cluster c(with_ranges("10.43.0.0/16,fd00:43::/112", "192.0.2.1"));
  struct Row {
    const char* spec;
    const char* expected;  // or what is refused
  };
  const Row rows[] = {
      {R"({})", "SingleStack IPv4 v4"},
      {R"({"ipFamilies":["IPv6"]})", "SingleStack IPv6 v6"},
      {R"({"ipFamilyPolicy":"PreferDualStack"})", "PreferDualStack IPv4 IPv6 v4 v6"},
      {R"({"ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv6"]})",
       "RequireDualStack IPv6 IPv4 v6 v4"},
      {R"({"clusterIP":"fd00:43::77"})", "SingleStack IPv6 v6"},
      {R"({"clusterIPs":["fd00:43::78"],"clusterIP":"fd00:43::78","ipFamilyPolicy":"PreferDualStack"})",
       "PreferDualStack IPv6 IPv4 v6 v4"},
      {R"({"clusterIP":"None","selector":{"a":"b"},"ipFamilyPolicy":"PreferDualStack"})",
       "PreferDualStack IPv4 IPv6 None"},
      {R"({"clusterIP":"fd00:99::1"})",
       "failed to allocate IP fd00:99::1: the provided IP (fd00:99::1) is not in the valid range. "
       "The range of valid IPs is fd00:43::/112"},
      {R"({"clusterIP":"fd00:43::77"})",
       "failed to allocate IP fd00:43::77: provided IP is already allocated"},
  };
  int n = 0;
  for (const Row& row : rows) {
    INFO(row.spec);
    json::Value service = parsed(R"({"spec":{"ports":[{"port":80}]}})");
    service.member("metadata").set("name", "s" + std::to_string(n++));
    const json::Value spec = parsed(row.spec);
    for (json::Member m : spec.members()) {
      service.member("spec").set(m.key, m.value);
    }
    json::Value made = c.call("POST", kServices, json::write(service));
    std::string said = c.status == 201 ? families(made) : made["message"].text();
    CHECK((said == row.expected || (c.status != 201 && said.ends_with(row.expected))));
    INFO(said);
  }
  // From one to two, and back.
  json::Value now = c.patch(kServices + "/s0", R"({"spec":{"ipFamilyPolicy":"PreferDualStack"}})");
  CHECK(families(now) == "PreferDualStack IPv4 IPv6 v4 v6");
  std::string second = now["spec"]["clusterIPs"][1].text();
  now = c.patch(kServices + "/s0", R"({"spec":{"ipFamilyPolicy":"SingleStack"}})");
  CHECK(families(now) == "SingleStack IPv4 v4");
  c.call("POST", kServices,
         R"({"metadata":{"name":"other"},"spec":{"clusterIP":")" + second +
             R"(","ports":[{"port":80}]}})");
  CHECK(c.status == 201);
  json::Value range = c.call("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes");
  CHECK(range["spec"]["cidrs"].size() == 2);
}

TEST_CASE("a cluster of IPv6 alone") {
  Cluster c(with_ranges("fd00:43::/112", "2001:db8::1"));
  json::Value own = c.call("GET", kServices + "/kubernetes");
  CHECK(families(own) == "SingleStack IPv6 v6");
  CHECK(own["spec"]["clusterIP"].as_string() == "fd00:43::1");
  json::Value slice =
      c.call("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes");
  CHECK(slice["addressType"].as_string() == "IPv6");
  json::Value refused = c.call(
      "POST", kServices,
      R"({"metadata":{"name":"s"},"spec":{"ipFamilyPolicy":"RequireDualStack","ports":[{"port":80}]}})");
  CHECK(refused["message"].text().ends_with(
      "this cluster is not configured for dual-stack services"));
  refused =
      c.call("POST", kServices,
             R"({"metadata":{"name":"s"},"spec":{"ipFamilies":["IPv4"],"ports":[{"port":80}]}})");
  CHECK(refused["message"].text().ends_with("not configured on this cluster"));
}
