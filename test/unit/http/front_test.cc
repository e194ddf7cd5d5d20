// The everyday ways through the API server.

#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

TEST_CASE("create, read, conflict, delete") {
  Cluster c;
  json::Value made = c.call("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  CHECK(c.status == 201);
  CHECK(made["kind"].as_string() == "ConfigMap");
  CHECK(!made["metadata"]["uid"].as_string().empty());
  CHECK(made["metadata"]["managedFields"][0]["manager"].as_string() == "test");

  json::Value again = c.call("POST", kMaps, R"({"metadata":{"name":"a"}})");
  CHECK(c.status == 409);
  CHECK(again["message"].as_string() == "configmaps \"a\" already exists");

  std::string old = made["metadata"]["resourceVersion"].text();
  json::Value patched = c.patch(kMaps + "/a", R"({"data":{"k":"w"}})");
  CHECK(c.status == 200);
  json::Value same = c.patch(kMaps + "/a", R"({"data":{"k":"w"}})");
  CHECK(same["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]);

  c.call("PUT", kMaps + "/a", R"({"metadata":{"name":"a","resourceVersion":")" + old + R"("}})");
  CHECK(c.status == 409);
  json::Value gone = c.call("DELETE", kMaps + "/a");
  CHECK(c.status == 200);
  CHECK(gone["status"].as_string() == "Success");
  c.call("GET", kMaps + "/a");
  CHECK(c.status == 404);
}

TEST_CASE("finalizers hold an object until they are gone") {
  Cluster c;
  c.call("POST", kMaps, R"({"metadata":{"name":"a","finalizers":["example.com/x"]}})");
  json::Value going = c.call("DELETE", kMaps + "/a");
  CHECK(!going["metadata"]["deletionTimestamp"].is_null());
  json::Value refused = c.call("POST", kMaps, R"({"metadata":{"name":"a"}})");
  CHECK(refused["message"].as_string() ==
        "object is being deleted: configmaps \"a\" already exists");
  c.patch(kMaps + "/a", R"({"metadata":{"finalizers":null}})");
  CHECK(c.status == 200);
  c.call("GET", kMaps + "/a");
  CHECK(c.status == 404);
}

TEST_CASE("lists: pages, selectors, tables") {
  Cluster c;
  for (const char* name : {"a", "b", "c"}) {
    c.call(
        "POST", kMaps,
        std::string(R"({"metadata":{"name":")") + name + R"(","labels":{"l":")" + name + R"("}}})");
  }
  json::Value page = c.call("GET", kMaps + "?limit=2");
  CHECK(page["items"].size() == 2);
  CHECK(!page["items"][0].has("kind"));
  CHECK(page["metadata"]["remainingItemCount"].as_int() == 1);
  json::Value rest =
      c.call("GET", kMaps + "?limit=2&continue=" + page["metadata"]["continue"].text());
  REQUIRE(rest["items"].size() == 1);
  CHECK(rest["items"][0]["metadata"]["name"].as_string() == "c");
  CHECK(c.call("GET", kMaps + "?labelSelector=l%20in%20(a,c)")["items"].size() == 2);
  CHECK(c.call("GET", kMaps + "?fieldSelector=metadata.name%3Db")["items"].size() == 1);
  json::Value table =
      c.call("GET", kMaps, "", {{"Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
  CHECK(table["kind"].as_string() == "Table");
  CHECK(table["rows"].size() == 3);
}

TEST_CASE("a watch tells what is there, then what changes") {
  Cluster c;
  c.call("POST", kMaps, R"({"metadata":{"name":"a"}})");
  auto watch = c.begin("GET", kMaps + "?watch=1");
  CHECK(watch->status_ == 200);
  CHECK(watch->body_.find(R"({"type":"ADDED","object":{)") == 0);
  c.call("DELETE", kMaps + "/a");
  CHECK(watch->body_.find(R"("type":"DELETED")") != std::string::npos);
  watch->go_away();
  c.call("POST", kMaps, R"({"metadata":{"name":"b"}})");
  CHECK(watch->body_.find(R"("name":"b")") == std::string::npos);
}

TEST_CASE("services get addresses, pods their account") {
  Cluster c;
  json::Value kubernetes = c.call("GET", "/api/v1/namespaces/default/services/kubernetes");
  CHECK(kubernetes["spec"]["clusterIP"].as_string() == "10.43.0.1");
  json::Value service = c.call("POST", "/api/v1/namespaces/default/services",
                               R"({"metadata":{"name":"s"},"spec":{"type":"NodePort",
                                   "ports":[{"port":80}]}})");
  CHECK(c.status == 201);
  CHECK(service["spec"]["clusterIP"].as_string().starts_with("10.43."));
  CHECK(service["spec"]["ports"][0]["nodePort"].as_int() >= 30000);
  std::string taken = service["spec"]["clusterIP"].text();
  c.call(
      "POST", "/api/v1/namespaces/default/services",
      R"({"metadata":{"name":"t"},"spec":{"clusterIP":")" + taken + R"(","ports":[{"port":80}]}})");
  CHECK(c.status == 422);

  json::Value pod = c.call("POST", "/api/v1/namespaces/default/pods",
                           R"({"metadata":{"generateName":"p-"},"spec":{"containers":[
                               {"name":"c","image":"i"}]}})");
  CHECK(c.status == 201);
  CHECK(pod["metadata"]["name"].as_string().size() == 7);
  CHECK(pod["spec"]["serviceAccountName"].as_string() == "default");
  CHECK(pod["spec"]["volumes"][0]["name"].as_string().starts_with("kube-api-access-"));
  CHECK(pod["spec"]["tolerations"].size() == 2);
  CHECK(pod["status"]["qosClass"].as_string() == "BestEffort");
}

TEST_CASE("binding, scale, dry run") {
  Cluster c;
  std::string pods = "/api/v1/namespaces/default/pods";
  c.call("POST", pods,
         R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  c.call("POST", pods + "/p/binding",
         R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n1"}})");
  CHECK(c.status == 201);
  CHECK(c.call("GET", pods + "/p")["spec"]["nodeName"].as_string() == "n1");
  c.call("POST", pods + "/p/binding",
         R"({"metadata":{"name":"p"},"target":{"kind":"Node","name":"n2"}})");
  CHECK(c.status == 409);

  std::string deployments = "/apis/apps/v1/namespaces/default/deployments";
  c.call("POST", deployments, R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":
      {"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[
      {"name":"c","image":"i"}]}}}})");
  REQUIRE(c.status == 201);
  json::Value scale = c.patch(deployments + "/d/scale", R"({"spec":{"replicas":4}})");
  CHECK(scale["kind"].as_string() == "Scale");
  CHECK(scale["status"]["selector"].as_string() == "a=b");
  json::Value d = c.call("GET", deployments + "/d");
  CHECK(d["spec"]["replicas"].as_int() == 4);
  CHECK(d["metadata"]["generation"].as_int() == 2);

  c.call("POST", kMaps + "?dryRun=All", R"({"metadata":{"name":"dry"}})");
  CHECK(c.status == 201);
  c.call("GET", kMaps + "/dry");
  CHECK(c.status == 404);
}

TEST_CASE("namespaces: missing, terminating, protected") {
  Cluster c;
  json::Value missing =
      c.call("POST", "/api/v1/namespaces/none/configmaps", R"({"metadata":{"name":"a"}})");
  CHECK(c.status == 404);
  CHECK(missing["message"].as_string() == "namespaces \"none\" not found");
  c.call("DELETE", "/api/v1/namespaces/default");
  CHECK(c.status == 403);
  c.call("POST", "/api/v1/namespaces", R"({"metadata":{"name":"n"}})");
  json::Value going = c.call("DELETE", "/api/v1/namespaces/n");
  CHECK(going["status"]["phase"].as_string() == "Terminating");
  c.call("POST", "/api/v1/namespaces/n/configmaps", R"({"metadata":{"name":"a"}})");
  CHECK(c.status == 403);
  going.member("spec").set("finalizers", json::Value::array());
  c.call("PUT", "/api/v1/namespaces/n/finalize", json::write(going));
  CHECK(c.status == 200);
  c.call("GET", "/api/v1/namespaces/n");
  CHECK(c.status == 404);
}

TEST_CASE("who is not known may ask for health alone") {
  Cluster c;
  c.call("GET", "/healthz", "", {{"X-Nobody", "1"}});
  CHECK(c.status == 200);
  json::Value refused = c.call("GET", "/api/v1/pods", "", {{"X-Nobody", "1"}});
  CHECK(c.status == 403);
  CHECK(refused["message"].as_string() ==
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group "
        "\"\" at the cluster scope");
}

TEST_CASE("a body past the limit is told so, read or not") {
  Cluster c;
  json::Value answer = c.call("POST", kMaps, std::string(3 * 1024 * 1024 + 1, ' '));
  CHECK(c.status == 413);
  CHECK(answer["reason"].as_string() == "RequestEntityTooLarge");
  CHECK(answer["message"].as_string() == "Request entity too large: limit is 3145728");
  net::ServerLimits limits = ApiServer::limits();
  CHECK(limits.body_bytes > 3 * 1024 * 1024);
  Result<json::Value> unread = json::parse(limits.too_large_body);
  REQUIRE(unread.ok());
  CHECK(*unread == answer);
}

TEST_CASE("paths that lead nowhere") {
  Cluster c;
  for (const char* path : {"/nope", "/apis/nope/v1/things", "/openapi"}) {
    c.call("GET", path);
    INFO(path);
    CHECK(c.status == 404);
    CHECK(c.answer_headers.get("Content-Type") == "text/plain; charset=utf-8");
  }
  for (const char* path : {"/api/v1/nope", "/apis/apps/v9/deployments", "/api/v1/configmaps/x",
                           "/api/v1/namespaces/default/configmaps/x/status"}) {
    INFO(path);
    CHECK(c.call("GET", path)["reason"].as_string() == "NotFound");
  }
  c.call("POST", "/api/v1/configmaps", "{}");
  CHECK(c.status == 405);
}

TEST_CASE("what is watched has no parts, and no other method") {
  Cluster c;
  const std::string pods = "/api/v1/watch/namespaces/default/pods";
  struct Row {
    const char* method;
    std::string path;
  };
  const Row rows[] = {
      {"GET", pods + "/p/exec"},   {"POST", pods + "/p/exec"},  {"GET", pods + "/p/log"},
      {"GET", pods + "/p/proxy"},  {"HEAD", pods + "/p/proxy"}, {"GET", pods + "/p/proxy/x"},
      {"GET", pods + "/p/status"}, {"PUT", pods + "/p/status"},
  };
  for (const Row& row : rows) {
    INFO(row.method << " " << row.path);
    json::Value refused = c.call(row.method, row.path);
    CHECK(c.status == 405);
  }
}

TEST_CASE("a stream into a pod asks for the right to create one") {
  Cluster c(AuthorizationMode::kRbac);
  const std::string rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/";
  auto allow = [&](const std::string& user, const std::string& verbs) {
    c.call("POST", rbac + "roles",
           R"({"metadata":{"name":")" + user + R"("},"rules":[{"verbs":)" + verbs +
               R"(,"apiGroups":[""],"resources":["pods/exec","pods/attach","pods/portforward",
                 "pods/log"]}]})");
    REQUIRE(c.status == 201);
    c.call("POST", rbac + "rolebindings",
           R"({"metadata":{"name":")" + user +
               R"("},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":")" +
               user + R"("},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User",
                 "name":")" +
               user + R"("}]})");
    REQUIRE(c.status == 201);
  };
  allow("jane", R"(["get"])");
  allow("kim", R"(["get","create"])");
  const std::string pod = "/api/v1/namespaces/default/pods/p/";
  for (const char* sub : {"exec", "attach", "portforward"}) {
    INFO(sub);
    json::Value refused = c.call("GET", pod + sub, "", {{"X-User", "jane"}});
    CHECK(c.status == 403);
    CHECK(refused["message"].text() ==
          "pods \"p\" is forbidden: User \"jane\" cannot create resource \"pods/" +
              std::string(sub) + "\" in API group \"\" in the namespace \"default\"");
    c.call("GET", pod + sub, "", {{"X-User", "kim"}});
    CHECK(c.status == 404);
  }
  c.call("GET", pod + "log", "", {{"X-User", "jane"}});
  CHECK(c.status == 404);
}
