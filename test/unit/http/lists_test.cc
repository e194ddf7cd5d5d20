// Lists whose pages outlive their state, parameters that are no numbers, and who may ask.

#include "server/registry/list_options.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

TEST_CASE("a page that is too old says how to go on") {
  Cluster c;
  for (const char* name : {"a", "b", "c"}) {
    c.call("POST", kMaps, std::string(R"({"metadata":{"name":")") + name + R"("}})");
  }
  json::Value page = c.call("GET", kMaps + "?limit=1");
  std::string token = page["metadata"]["continue"].text();
  REQUIRE(!token.empty());
  // More bytes of changes than are remembered.
  const std::string big(700 * 1024, 'x');
  for (const char* letter : {"1", "2", "3", "4"}) {
    c.patch(kMaps + "/c", R"({"data":{"k":")" + (letter + big) + R"("}})");
    REQUIRE(c.status == 200);
  }
  json::Value old = c.call("GET", kMaps + "?limit=1&continue=" + token);
  REQUIRE(c.status == 410);
  CHECK(old["reason"].as_string() == "Expired");
  CHECK(!old.has("details"));
  std::string onward = old["metadata"]["continue"].text();
  REQUIRE(!onward.empty());
  json::Value next = c.call("GET", kMaps + "?limit=1&continue=" + onward);
  CHECK(c.status == 200);
  CHECK(next["items"][0]["metadata"]["name"].as_string() == "b");
  json::Value last =
      c.call("GET", kMaps + "?limit=1&continue=" + next["metadata"]["continue"].text());
  CHECK(last["items"][0]["metadata"]["name"].as_string() == "c");
  CHECK(last["metadata"]["resourceVersion"] == next["metadata"]["resourceVersion"]);
}

TEST_CASE("tokens that no list gave") {
  Cluster c;
  struct Row {
    NamespacedName after;
    kv::Revision revision;
    const char* message;
  };
  const Row rows[] = {
      {{"", "a"}, 0, "incorrect encoded start resourceVersion (version meta.k8s.io/v1)"},
      {{"..", "a"}, 1, "../a"},
      {{".", "a"}, 1, "./a"},
      {{"", "a//b"}, 1, "a//b"},
  };
  for (const Row& row : rows) {
    std::string token = continue_token(row.revision, row.after);
    json::Value refused = c.call("GET", kMaps + "?continue=" + token);
    CHECK(c.status == 400);
    std::string message = refused["message"].text();
    CHECK(message.find("continue key is not valid: " + std::string(row.message)) !=
          std::string::npos);
  }
}

TEST_CASE("parameters that are no numbers") {
  Cluster c;
  struct Row {
    const char* method;
    const char* query;
    const char* message;
  };
  const Row rows[] = {
      {"GET", "limit=few", "strconv.ParseInt: parsing \"few\": invalid syntax"},
      {"GET", "watch=1&timeoutSeconds=1.5", "strconv.ParseInt: parsing \"1.5\": invalid syntax"},
      {"DELETE", "gracePeriodSeconds=99999999999999999999",
       "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"},
  };
  for (const Row& row : rows) {
    INFO(row.query);
    json::Value refused = c.call(row.method, kMaps + "?" + row.query);
    CHECK(c.status == 400);
    CHECK(refused["message"].as_string() == row.message);
  }
}

TEST_CASE("who may change may not for that create") {
  Cluster c(AuthorizationMode::kRbac);
  const std::string leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
  const std::string rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/";
  c.call("POST", rbac + "roles",
         R"({"metadata":{"name":"r"},"rules":[{"verbs":["update","patch"],
           "apiGroups":["","coordination.k8s.io"],"resources":["configmaps","leases"]}]})");
  REQUIRE(c.status == 201);
  c.call("POST", rbac + "rolebindings",
         R"({"metadata":{"name":"r"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",
           "kind":"Role","name":"r"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io",
           "kind":"User","name":"jane"}]})");
  REQUIRE(c.status == 201);
  const net::Headers jane{{"X-User", "jane"}};
  const std::string lease = R"({"metadata":{"name":"a"},"spec":{}})";
  json::Value refused = c.call("PUT", leases + "/a", lease, jane);
  CHECK(c.status == 403);
  CHECK(refused["message"].as_string() ==
        "leases.coordination.k8s.io \"a\" is forbidden: User \"jane\" cannot create resource "
        "\"leases\" in API group \"coordination.k8s.io\" in the namespace \"default\"");
  net::Headers apply = jane;
  apply.add("Content-Type", "application/apply-patch+yaml");
  const std::string map = R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}})";
  c.call("PATCH", kMaps + "/a?fieldManager=m", map, apply);
  CHECK(c.status == 403);
  c.call("PUT", leases + "/a", lease);
  CHECK(c.status == 201);
  c.call("PATCH", kMaps + "/a?fieldManager=m", map,
         {{"Content-Type", "application/apply-patch+yaml"}});
  CHECK(c.status == 201);
  c.call("PATCH", kMaps + "/a?fieldManager=m", map, apply);
  CHECK(c.status == 200);
}

TEST_CASE("an empty managedFields disowns all in every kind of write") {
  Cluster c;
  const std::string body = R"({"metadata":{"name":"a","managedFields":[]},"data":{"k":"v"}})";
  c.call("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  json::Value put = c.call("PUT", kMaps + "/a", body);
  CHECK(c.status == 200);
  CHECK(!put["metadata"].has("managedFields"));
}

TEST_CASE("what is asked for is not yet, or is no revision") {
  Cluster c;
  c.call("POST", kMaps, R"({"metadata":{"name":"a"}})");
  json::Value future = c.call("GET", kMaps + "/a?resourceVersion=99999999");
  CHECK(c.status == 504);
  CHECK(future["message"].text().starts_with(
      "Timeout: Too large resource version: 99999999, current: "));
  CHECK(future["details"]["causes"][0]["reason"].as_string() == "ResourceVersionTooLarge");
  c.call("GET", kMaps + "/a?resourceVersion=x");
  CHECK(c.status == 500);
  c.call("GET", kMaps + "/a?resourceVersion=1");
  CHECK(c.status == 200);
}

TEST_CASE("what is created has no version, unless nothing is stored or it says nothing") {
  Cluster c;
  auto body = [](const char* version) {
    return std::string(R"({"metadata":{"name":"v","resourceVersion":")") + version + R"("}})";
  };
  json::Value refused = c.call("POST", kMaps, body("5"));
  CHECK(c.status == 500);
  CHECK(refused["message"].as_string() ==
        "resourceVersion should not be set on objects to be created");
  c.call("POST", kMaps + "?dryRun=All", body("5"));
  CHECK(c.status == 201);
  c.call("POST", kMaps, body("0"));
  CHECK(c.status == 201);
}

TEST_CASE("a deletion that is said to change nothing says so in known words") {
  Cluster c;
  c.call("POST", kMaps, R"({"metadata":{"name":"a"}})");
  json::Value refused = c.call("DELETE", kMaps + "/a", R"({"dryRun":["Some"]})");
  CHECK(c.status == 422);
  CHECK(refused["message"].as_string() ==
        "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: "
        "supported values: \"All\"");
  c.call("GET", kMaps + "/a");
  CHECK(c.status == 200);
}
