// What a node's credentials do not reach: other nodes, and the pods of other nodes.

#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

TEST_CASE("a node changes itself and the pods bound to it") {
  Cluster c(AuthorizationMode::kNode);
  const std::string nodes = "/api/v1/nodes";
  const std::string pods = "/api/v1/namespaces/default/pods";
  auto pod = [](const std::string& name, const std::string& node, const char* annotations) {
    return R"({"metadata":{"name":")" + name + R"(","annotations":)" + annotations +
           R"(},"spec":{"nodeName":")" + node + R"(","containers":[{"name":"c","image":"i"}]}})";
  };
  const char* kMirror = R"({"kubernetes.io/config.mirror":"x"})";
  for (const char* node : {"a", "b"}) {
    c.call("POST", nodes, std::string(R"({"metadata":{"name":")") + node + R"("}})");
    REQUIRE(c.status == 201);
    c.call("POST", pods, pod(std::string("of-") + node, node, "{}"));
    REQUIRE(c.status == 201);
  }
  const std::string status = R"({"status":{"message":"m"}})";
  const std::string labels = R"({"metadata":{"annotations":{"k":"v"}}})";
  struct Row {
    const char* method;
    std::string path;
    std::string body;
    int status;
    const char* why;
  };
  const Row rows[] = {
      {"PATCH", nodes + "/a", labels, 200, ""},
      {"PATCH", nodes + "/b", labels, 403, "node \"a\" is not allowed to modify node \"b\""},
      {"PATCH", nodes + "/a/status", labels, 200, ""},
      {"PATCH", nodes + "/b/status", labels, 403, "node \"a\" is not allowed to modify node \"b\""},
      {"PUT", nodes + "/b", "{}", 403, "node \"a\" is not allowed to modify node \"b\""},
      {"POST", nodes, R"({"metadata":{"name":"c"}})", 403,
       "node \"a\" is not allowed to modify node \"c\""},
      {"DELETE", nodes + "/a", "", 403, "cannot delete resource \"nodes\""},
      {"PATCH", pods + "/of-a/status", status, 200, ""},
      {"PATCH", pods + "/of-b/status", status, 403,
       "node \"a\" can only update pod status for pods with spec.nodeName set to itself"},
      {"POST", pods, pod("m", "a", "{}"), 403,
       "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"a\" can only create "
       "mirror pods"},
      {"POST", pods, pod("m", "b", kMirror), 403,
       "node \"a\" can only create pods with spec.nodeName set to itself"},
      {"POST", pods, pod("m", "a", kMirror), 201, ""},
      {"DELETE", pods + "/of-b", "", 403,
       "node \"a\" can only delete pods with spec.nodeName set to itself"},
      {"DELETE", pods + "/of-a", "", 200, ""},
      {"DELETE", pods + "/gone", "", 404, ""},
      {"PATCH", pods + "/gone/status", status, 404, ""},
  };
  for (const Row& row : rows) {
    INFO(row.method << " " << row.path << " " << row.body);
    net::Headers headers{{"X-User", "system:node:a"}};
    if (std::string_view(row.method) == "PATCH") {
      headers.add("Content-Type", "application/merge-patch+json");
    }
    json::Value answer = c.call(row.method, row.path, row.body, std::move(headers));
    INFO(json::write(answer));
    CHECK(c.status == row.status);
    if (row.status == 403) {
      CHECK(answer["message"].text().find(row.why) != std::string::npos);
    }
  }
}

TEST_CASE("of volumes a node takes away nothing but the finalizer of its own local ones") {
  Cluster c;
  const std::string volumes = "/api/v1/persistentvolumes";
  for (const char* node : {"a", "b"}) {
    c.call("POST", volumes,
           std::string(R"({"metadata":{"name":"of-)") + node +
               R"(","labels":{"knarr.io/local-storage-node":")" + node +
               R"("},"finalizers":["knarr.io/local-storage","x/y"]},"spec":{
        "capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],
        "hostPath":{"path":"/s"}}})");
    REQUIRE(c.status == 201);
  }
  struct Row {
    const char* name;
    const char* body;
    int status;
  };
  const char* without = R"({"metadata":{"finalizers":["x/y","kubernetes.io/pv-protection"]}})";
  const Row rows[] = {
      {"of-b", without, 403},
      {"of-b", R"({"metadata":{"labels":{"knarr.io/local-storage-node":"a"}}})", 403},
      {"of-a", R"({"metadata":{"finalizers":null}})", 403},
      {"of-a", R"({"spec":{"persistentVolumeReclaimPolicy":"Delete"}})", 403},
      {"of-a", without, 200},
  };
  for (const Row& row : rows) {
    INFO(row.name << " " << row.body);
    json::Value answer =
        c.call("PATCH", volumes + "/" + row.name, row.body,
               {{"X-User", "system:node:a"}, {"Content-Type", "application/merge-patch+json"}});
    INFO(json::write(answer));
    CHECK(c.status == row.status);
  }
}
