// What clients lean on beneath the objects: headers, encodings, documents, reviews.

#include "api/protobuf/protobuf.h"
#include "net/gzip.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

namespace {

const char* kProtobuf = "application/vnd.kubernetes.protobuf";
const std::string kMagic("k8s\0", 4);

std::string reviewed(Cluster& c, net::Headers headers) {
  json::Value review =
      c.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", std::move(headers));
  return json::write(review["status"]["userInfo"]);
}

}  // namespace

TEST_CASE("every answer names its request") {
  Cluster c;
  c.call("GET", kMaps);
  CHECK(c.answer_headers.get("Audit-Id").size() == 36);
  CHECK(c.answer_headers.get("Cache-Control") == "no-cache, private");
  c.call("GET", "/healthz", "", {{"Audit-Id", "mine"}});
  CHECK(c.answer_headers.get("Audit-Id") == "mine");
}

TEST_CASE("a timeout that is no duration is refused") {
  Cluster c;
  json::Value refused = c.call("GET", kMaps + "?timeout=soon");
  CHECK(c.status == 400);
  CHECK(refused["message"].as_string() ==
        "invalid timeout specified in the request URL - time: invalid duration \"soon\"");
  c.call("GET", kMaps + "?timeout=10s");
  CHECK(c.status == 200);
}

TEST_CASE("long answers are compressed for who asks") {
  Cluster c;
  std::string big(200 * 1024, 'x');
  c.call("POST", kMaps, R"({"metadata":{"name":"big"},"data":{"k":")" + big + R"("}})");
  REQUIRE(c.status == 201);
  auto exchange = c.begin("GET", kMaps + "/big", "", {{"Accept-Encoding", "gzip"}});
  CHECK(exchange->headers_.get("Content-Encoding") == "gzip");
  CHECK(exchange->headers_.get("Vary") == "Accept-Encoding");
  Result<std::string> text = net::gunzip(exchange->body_, 1 << 20);
  REQUIRE(text.ok());
  CHECK(json::parse(*text)->operator[]("data")["k"].as_string() == big);
  c.call("GET", kMaps + "/big");
  CHECK(!c.answer_headers.has("Content-Encoding"));
}

TEST_CASE("a very long answer is compressed over several turns") {
  Cluster c;
  std::string big(700 * 1024, 'x');
  for (const char* name : {"a", "b", "c"}) {
    c.call("POST", kMaps,
           std::string(R"({"metadata":{"name":")") + name + R"("},"data":{"k":")" + big + R"("}})");
    REQUIRE(c.status == 201);
  }
  auto exchange = c.begin("GET", kMaps, "", {{"Accept-Encoding", "gzip"}});
  CHECK(exchange->open());
  REQUIRE(c.loop.run_until([&] { return !exchange->open(); }, 5000));
  Result<std::string> text = net::gunzip(exchange->body_, 1 << 24);
  REQUIRE(text.ok());
  CHECK(json::parse(*text)->operator[]("items").size() == 3);
}

TEST_CASE("a long list is sent piece by piece") {
  Cluster c;
  std::string big(1000, 'x');
  for (int i = 0; i < 300; i++) {
    c.call(
        "POST", kMaps,
        R"({"metadata":{"name":"m)" + std::to_string(i) + R"("},"data":{"k":")" + big + R"("}})");
    REQUIRE(c.status == 201);
  }
  auto list = [&c](std::string accept) {
    auto exchange = c.begin("GET", kMaps, "", {{"Accept", std::move(accept)}});
    CHECK(exchange->open());
    REQUIRE(c.loop.run_until([&] { return !exchange->open(); }, 5000));
    return exchange->body_;
  };
  Result<json::Value> plain = json::parse(list("application/json"));
  REQUIRE(plain.ok());
  Result<json::Value> binary = api::decode_protobuf(list(kProtobuf), {});
  REQUIRE(binary.ok());
  for (const json::Value* value : {&*plain, &*binary}) {
    CHECK((*value)["kind"].as_string() == "ConfigMapList");
    CHECK((*value)["items"].size() == 300);
    CHECK((*value)["items"][7]["data"]["k"].as_string() == big);
  }
}

TEST_CASE("protobuf: objects, metadata, lists of resources, bodies") {
  Cluster c;
  c.call("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  struct Row {
    std::string path;
    std::string accept;
    int status;
  };
  const std::string p = kProtobuf;
  const Row rows[] = {
      {kMaps + "/a", p, 200},
      {kMaps + "/a", p + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io", 200},
      {kMaps, p + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", 200},
      {"/api/v1", p, 200},
      {"/apis/apps", p, 200},
      {kMaps + "/a", p + ";as=Table;v=v1;g=meta.k8s.io", 406},
  };
  for (const Row& row : rows) {
    INFO(row.path << " " << row.accept);
    auto exchange = c.begin("GET", row.path, "", {{"Accept", row.accept}});
    CHECK(exchange->status_ == row.status);
    CHECK(exchange->body_.starts_with(kMagic) == (row.status == 200));
  }
  auto body = c.begin("GET", kMaps + "/a", "", {{"Accept", p}})->body_;
  c.call("PUT", kMaps + "/a", body, {{"Content-Type", p}});
  CHECK(c.status == 200);
  json::Value refused = c.call("POST", kMaps, "nope", {{"Content-Type", p}});
  CHECK(refused["message"].as_string() ==
        "the object provided is unrecognized (must be of type ConfigMap): provided data does not "
        "appear to be a protobuf message, expected prefix [107 56 115 0] (6e6f7065)");
}

TEST_CASE("a watch speaks protobuf in frames") {
  Cluster c;
  auto watch = c.begin("GET", kMaps + "?watch=1", "", {{"Accept", kProtobuf}});
  CHECK(watch->headers_.get("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch");
  c.call("POST", kMaps, R"({"metadata":{"name":"a"}})");
  std::string_view frames = watch->body_;
  REQUIRE(frames.size() > 8);
  size_t size =
      static_cast<unsigned char>(frames[2]) * 256U + static_cast<unsigned char>(frames[3]);
  CHECK(frames.size() == size + 4);
  CHECK(frames.substr(4, 7) == std::string_view("\x0a\x05"
                                                "ADDED"));
  CHECK(frames.find(kMagic) != std::string_view::npos);
  watch->go_away();
}

TEST_CASE("documents of OpenAPI are found by their hash") {
  Cluster c;
  json::Value index = c.call("GET", "/openapi/v3");
  CHECK(c.answer_headers.get("Content-Type").starts_with("text/plain"));
  std::string url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].text();
  REQUIRE(url.starts_with("/openapi/v3/apis/apps/v1?hash="));
  json::Value document = c.call("GET", url);
  CHECK(c.status == 200);
  CHECK(c.answer_headers.get("Cache-Control") == "public, immutable");
  CHECK(document["openapi"].as_string() == "3.0.0");
  std::string etag(c.answer_headers.get("ETag"));
  c.call("GET", url, "", {{"If-None-Match", etag}});
  CHECK(c.status == 304);
  c.call("GET", "/openapi/v3/apis/apps/v1?hash=OLD");
  CHECK(c.status == 301);
  CHECK(c.answer_headers.get("Location") == url);
  c.call("GET", "/openapi/v3/apis/nope/v1");
  CHECK(c.status == 404);
  c.call("GET", url, "", {{"Accept", "text/html"}});
  CHECK(c.status == 406);
}

TEST_CASE("acting as someone else is for who may") {
  Cluster c(AuthorizationMode::kRbac);
  const std::string rbac = "/apis/rbac.authorization.k8s.io/v1/";
  c.call("POST", rbac + "clusterroles",
         R"({"metadata":{"name":"act"},"rules":[{"verbs":["impersonate"],"apiGroups":[""],
           "resources":["users"],"resourceNames":["bob"]}]})");
  REQUIRE(c.status == 201);
  c.call("POST", rbac + "clusterrolebindings",
         R"({"metadata":{"name":"act"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",
           "kind":"ClusterRole","name":"act"},"subjects":[{"apiGroup":"rbac.authorization.k8s.io",
           "kind":"User","name":"kim"}]})");
  REQUIRE(c.status == 201);
  c.call("POST", rbac + "clusterroles",
         R"({"metadata":{"name":"review"},"rules":[{"verbs":["create"],
           "apiGroups":["authentication.k8s.io"],"resources":["selfsubjectreviews"]}]})");
  REQUIRE(c.status == 201);
  c.call("POST", rbac + "clusterrolebindings",
         R"({"metadata":{"name":"review"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io",
           "kind":"ClusterRole","name":"review"},"subjects":[{"apiGroup":
           "rbac.authorization.k8s.io","kind":"Group","name":"system:authenticated"}]})");
  REQUIRE(c.status == 201);
  struct Row {
    const char* caller;
    net::Headers::Field wanted;
    int status;
  };
  const Row rows[] = {
      {"jane", {"Impersonate-User", "bob"}, 403},
      {"kim", {"Impersonate-User", "bob"}, 201},
      {"kim", {"Impersonate-User", "ann"}, 403},
  };
  for (const Row& row : rows) {
    INFO(row.caller << " as " << row.wanted.value);
    net::Headers headers{{"X-User", row.caller}};
    headers.add(row.wanted.name, row.wanted.value);
    auto exchange = c.begin("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}",
                            std::move(headers));
    CHECK(exchange->status_ == row.status);
    if (row.status == 201) {
      CHECK(exchange->body_.find(R"("username":"bob")") != std::string::npos);
      CHECK(!exchange->request.headers.has("Impersonate-User"));
    }
  }
  net::Headers more{{"X-User", "kim"}, {"Impersonate-User", "bob"}, {"Impersonate-Group", "g"}};
  c.call("GET", kMaps, "", more);
  CHECK(c.status == 403);
}

TEST_CASE("acting as someone else") {
  Cluster c;
  CHECK(reviewed(c, {{"Impersonate-User", "bob"}}) ==
        R"({"username":"bob","groups":["system:authenticated"]})");
  CHECK(reviewed(c, {{"Impersonate-User", "bob"},
                     {"Impersonate-Group", "devs"},
                     {"Impersonate-Extra-Acme.com%2Fproject", "x"}}) ==
        R"({"username":"bob","groups":["devs","system:authenticated"],)"
        R"("extra":{"acme.com/project":["x"]}})");
  CHECK(
      reviewed(c, {{"Impersonate-User", "system:serviceaccount:kube-system:default"}}) ==
      R"({"username":"system:serviceaccount:kube-system:default","groups":)"
      R"(["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"]})");
  json::Value refused = c.call("GET", kMaps, "", {{"Impersonate-Group", "devs"}});
  CHECK(c.status == 400);
  CHECK(refused["message"].as_string() ==
        "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"devs\"}, "
        "Extra:map[string][]string(nil)} without impersonating a user name");
}

TEST_CASE("a service's address is an object while the service lives") {
  Cluster c;
  const std::string services = "/api/v1/namespaces/default/services";
  const std::string addresses = "/apis/networking.k8s.io/v1/ipaddresses/";
  json::Value made =
      c.call("POST", services, R"({"metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}})");
  std::string ip = made["spec"]["clusterIP"].text();
  json::Value record = c.call("GET", addresses + ip);
  CHECK(record["spec"]["parentRef"]["name"].as_string() == "s");
  json::Value taken = c.call(
      "POST", services,
      R"({"metadata":{"name":"t"},"spec":{"clusterIP":")" + ip + R"(","ports":[{"port":80}]}})");
  CHECK(c.status == 422);
  CHECK(taken["message"].as_string().find("provided IP is already allocated") !=
        std::string_view::npos);
  c.call("DELETE", services + "/s");
  c.call("POST", services,
         R"({"metadata":{"name":"t"},"spec":{"clusterIP":")" + ip + R"(","ports":[{"port":80}]}})");
  CHECK(c.status == 201);
  CHECK(c.call("GET", addresses + ip)["spec"]["parentRef"]["name"].as_string() == "t");
  json::Value range = c.call("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes");
  CHECK(range["status"]["conditions"][0]["type"].as_string() == "Ready");
}

TEST_CASE("node ports of one write") {
  Cluster c;
  const std::string services = "/api/v1/namespaces/default/services";
  json::Value dry = c.call("POST", services + "?dryRun=All",
                           R"({"metadata":{"name":"d"},"spec":{"type":"NodePort","ports":[
                             {"name":"a","port":80},{"name":"b","port":81}]}})");
  CHECK(dry["spec"]["ports"][0]["nodePort"].as_int() == 32769);
  CHECK(dry["spec"]["ports"][1]["nodePort"].as_int() == 32770);
  json::Value both = c.call("POST", services,
                            R"({"metadata":{"name":"e"},"spec":{"type":"NodePort","ports":[
                              {"name":"a","port":80},{"name":"b","port":80,"protocol":"UDP"}]}})");
  CHECK(both["spec"]["ports"][0]["nodePort"] == both["spec"]["ports"][1]["nodePort"]);
  std::string port = std::to_string(both["spec"]["ports"][0]["nodePort"].as_int());
  json::Value taken = c.call("POST", services,
                             R"({"metadata":{"name":"f"},"spec":{"type":"LoadBalancer",
                               "externalTrafficPolicy":"Local","ports":[{"port":80}],
                               "healthCheckNodePort":)" +
                                 port + "}}");
  CHECK(c.status == 500);
  CHECK(taken["message"].as_string() ==
        "Internal error occurred: failed to allocate requested HealthCheck NodePort " + port +
            ": provided port is already allocated");
}

TEST_CASE("reviews check what they are asked") {
  Cluster c;
  const std::string access = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  json::Value refused = c.call("POST", access, R"({"spec":{"user":"jane"}})");
  CHECK(c.status == 422);
  CHECK(refused["message"].as_string() ==
        ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: "
        "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  json::Value rules = c.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
                             R"({"spec":{"namespace":"default"}})");
  CHECK(c.status == 201);
  CHECK(rules["status"]["resourceRules"][0]["verbs"][0].as_string() == "*");
  c.call("GET", "/apis/authentication.k8s.io/v1/tokenreviews/x");
  CHECK(c.status == 404);
  json::Value parts = c.call("GET", "/api/v1/componentstatuses");
  CHECK(parts["items"].size() == 3);
}
