// APIServices: those of what is served here, and whether others could be asked.

#include "server/registry/api_services.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

namespace {

const std::string kServices = "/apis/apiregistration.k8s.io/v1/apiservices";

json::Value parsed(const char* text) {
  Result<json::Value> value = json::parse(text);
  REQUIRE(value.ok());
  return *value;
}

}  // namespace

TEST_CASE("what is found of the service that an APIService names") {
  struct Row {
    const char* service;  // empty: there is none
    std::vector<const char*> slices;
    const char* reason;  // empty: nothing against it
    const char* message;
  };
  const char* web = R"({"spec":{"ports":[{"port":80},{"name":"api","port":8443}]}})";
  const char* other = R"({"endpoints":[{}],"ports":[{"name":"","port":80}]})";
  const char* waiting =
      R"({"endpoints":[{"conditions":{"ready":false}}],"ports":[{"name":"api","port":1}]})";
  const char* ready =
      R"({"endpoints":[{"conditions":{"ready":true}}],"ports":[{"name":"api","port":1}]})";
  const char* unsaid = R"({"endpoints":[{}],"ports":[{"name":"api","port":1}]})";
  const char* none =
      R"(endpointslices for service/s in "n" have no addresses with port name "api")";
  const Row rows[] = {
      {"", {}, "ServiceNotFound", R"(service/s in "n" is not present)"},
      {R"({"spec":{"ports":[{"port":443}]}})",
       {},
       "ServicePortError",
       R"(service/s in "n" is not listening on port 8443)"},
      {web, {}, "EndpointsNotFound", R"(cannot find endpointslices for service/s in "n")"},
      {web, {other}, "MissingEndpoints", none},
      {web, {other, waiting}, "MissingEndpoints", none},
      {web, {R"({"endpoints":[{}],"ports":[{"name":"api"}]})"}, "MissingEndpoints", none},
      {web, {R"({"endpoints":[],"ports":[{"name":"api","port":1}]})"}, "MissingEndpoints", none},
      {web, {waiting, ready}, "", ""},
      {web, {unsaid}, "", ""},
      {R"({"spec":{"type":"ExternalName","externalName":"x"}})", {}, "", ""},
  };
  json::Value reference = parsed(R"({"name":"s","namespace":"n","port":8443})");
  for (const Row& row : rows) {
    json::Value service = *row.service == '\0' ? json::Value() : parsed(row.service);
    std::vector<json::Value> slices;
    for (const char* slice : row.slices) slices.push_back(parsed(slice));
    Availability found = check_service(reference, service.is_null() ? nullptr : &service, slices);
    INFO(row.service);
    CHECK(found.available == (*row.reason == '\0'));
    CHECK(found.reason == row.reason);
    CHECK(found.message == row.message);
  }
}

TEST_CASE("what is served here is registered") {
  Cluster c;
  json::Value apps;
  REQUIRE(c.loop.run_until(
      [&] {
        apps = c.call("GET", kServices + "/v1.apps");
        return c.status == 200;
      },
      5000));
  CHECK(apps["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"].as_string() ==
        "onstart");
  CHECK(apps["spec"]["groupPriorityMinimum"].as_int() == 17800);
  const json::Value& condition = apps["status"]["conditions"][0];
  CHECK(condition["status"].as_string() == "True");
  CHECK(condition["reason"].as_string() == "Local");
  // One that was changed, and one that no server of this kind makes.
  apps.member("spec").set("versionPriority", 3);
  c.call("PUT", kServices + "/v1.apps", json::write(apps));
  REQUIRE(c.status == 200);
  c.call("POST", kServices,
         R"({"metadata":{"name":"v9.apps","labels":{"kube-aggregator.kubernetes.io/automanaged":
            "onstart"}},"spec":{"group":"apps","version":"v9","groupPriorityMinimum":1,
            "versionPriority":1}})");
  REQUIRE(c.status == 201);
  ApiServices again(c.api.registry(), true);
  again.start();
  CHECK(c.loop.run_until(
      [&] {
        c.call("GET", kServices + "/v9.apps");
        return c.status == 404;
      },
      5000));
  CHECK(c.call("GET", kServices + "/v1.apps")["spec"]["versionPriority"].as_int() == 15);
}

TEST_CASE("an APIService's condition follows its service") {
  Cluster c;
  c.call("POST", kServices,
         R"({"metadata":{"name":"v1.shop.example.com"},"spec":{"group":"shop.example.com",
            "version":"v1","groupPriorityMinimum":100,"versionPriority":10,
            "insecureSkipTLSVerify":true,"service":{"name":"shop","namespace":"default"}}})");
  REQUIRE(c.status == 201);
  auto becomes = [&c](const char* reason) {
    return c.loop.run_until(
        [&] {
          json::Value now = c.call("GET", kServices + "/v1.shop.example.com");
          return now["status"]["conditions"][0]["reason"].as_string() == reason;
        },
        5000);
  };
  CHECK(becomes("ServiceNotFound"));
  const std::string services = "/api/v1/namespaces/default/services";
  c.call("POST", services, R"({"metadata":{"name":"shop"},"spec":{"ports":[{"port":80}]}})");
  REQUIRE(c.status == 201);
  CHECK(becomes("ServicePortError"));
  c.patch(services + "/shop", R"({"spec":{"ports":[{"port":443}]}})");
  CHECK(becomes("EndpointsNotFound"));
  c.call("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
         R"({"metadata":{"name":"shop-1","labels":{"kubernetes.io/service-name":"shop"}},
            "addressType":"IPv4","endpoints":[{"addresses":["10.0.0.9"]}],
            "ports":[{"name":"","port":443}]})");
  REQUIRE(c.status == 201);
  CHECK(becomes("FailedDiscoveryCheck"));  // nothing is passed on
  c.call("DELETE", services + "/shop");
  CHECK(becomes("ServiceNotFound"));
}
