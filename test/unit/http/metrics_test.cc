// metrics.k8s.io: discovery, lists, selection, and what is said of what cannot be measured.

#include "base/format.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

namespace {

// Whenever a node is read, its processors have been busy for a tenth of the time; one does not
// answer.
struct FakeNodes final : NodeProxy {
  void handle(net::ExchangePtr exchange, NodeRequest request) override {
    asked.push_back(request.name + request.path);
    if (request.name == "gone") return exchange->respond(503, {}, std::string("down"));
    int64_t ms = 1000000 + 1000 * static_cast<int64_t>(asked.size());
    double used = static_cast<double>(ms) / 10000;
    const char* pod = "{container=\"c\",namespace=\"default\",pod=\"web\"}";
    exchange->respond(
        200, {},
        fmt::format("node_cpu_usage_seconds_total {0} {1}\nnode_memory_working_set_bytes 2048 {1}\n"
                    "container_cpu_usage_seconds_total{2} {0} {1}\n"
                    "container_memory_working_set_bytes{2} 1024 {1}\n",
                    used, ms, pod));
  }
  std::vector<std::string> asked;
};

struct Measured : Cluster {
  Measured() {
    api.set_node_proxy(&nodes);
    for (const char* node : {"n1", "gone"}) {
      call("POST", "/api/v1/nodes",
           std::string(R"({"metadata":{"name":")") + node + R"(","labels":{"which":")" + node +
               R"("}}})");
      REQUIRE(status == 201);
    }
    for (const char* pod : {"web", "idle"}) {
      call("POST", "/api/v1/namespaces/default/pods",
           std::string(R"({"metadata":{"name":")") + pod + R"(","labels":{"app":")" + pod +
               R"("}},"spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]}})");
      REQUIRE(status == 201);
    }
  }
  ~Measured() { api.set_node_proxy(nullptr); }
  FakeNodes nodes;
};

const std::string kBase = "/apis/metrics.k8s.io/v1beta1";

}  // namespace

TEST_CASE("what nodes and pods use is served as metrics.k8s.io") {
  Measured c;
  CHECK(c.call("GET", kBase)["resources"].size() == 2);
  CHECK(c.call("GET", "/apis/metrics.k8s.io")["preferredVersion"]["version"].as_string() ==
        "v1beta1");
  CHECK(c.nodes.asked.empty());
  json::Value nodes = c.call("GET", kBase + "/nodes");
  CHECK(nodes["kind"].as_string() == "NodeMetricsList");
  REQUIRE(nodes["items"].size() == 1);
  const json::Value& n1 = nodes["items"][0];
  CHECK(n1["metadata"]["name"].as_string() == "n1");
  CHECK(n1["metadata"]["labels"]["which"].as_string() == "n1");
  CHECK(n1["usage"]["memory"].as_string() == "2Ki");
  CHECK(n1["usage"]["cpu"].as_string() == "100m");
  CHECK(c.nodes.asked[0] == "gone/metrics/resource");
  json::Value pods = c.call("GET", kBase + "/namespaces/default/pods");
  CHECK(pods["kind"].as_string() == "PodMetricsList");
  REQUIRE(pods["items"].size() == 1);
  CHECK(pods["items"][0]["containers"][0]["usage"]["memory"].as_string() == "1Ki");
  CHECK(c.call("GET", kBase + "/pods?labelSelector=app%3Didle")["items"].size() == 0);
  CHECK(c.call("GET", kBase + "/pods?labelSelector=app%3Dweb")["items"].size() == 1);
  CHECK(c.call("GET", kBase + "/pods?fieldSelector=metadata.name%3Dweb")["items"].size() == 1);
  CHECK(c.call("GET", kBase + "/namespaces/default/pods/web")["kind"].as_string() == "PodMetrics");
}

TEST_CASE("what is said of what cannot be measured") {
  Measured c;
  struct Row {
    const char* path;
    int status;
    const char* message;
  };
  const Row rows[] = {
      {"/nodes/gone", 404, "nodemetrics.metrics.k8s.io \"gone\" not found"},
      {"/nodes/other", 404, "nodes \"other\" not found"},
      {"/namespaces/default/pods/idle", 404,
       "podmetrics.metrics.k8s.io \"default/idle\" not found"},
      {"/namespaces/default/pods/other", 404, "pods \"other\" not found"},
      {"/pods?labelSelector=a%20b%20c", 400, nullptr},
      {"/nodes?watch=true", 405, nullptr},
  };
  for (const Row& row : rows) {
    INFO(row.path);
    json::Value answer = c.call("GET", kBase + row.path);
    CHECK(c.status == row.status);
    if (row.message != nullptr) CHECK(answer["message"].as_string() == row.message);
  }
}

TEST_CASE("a server that serves no metrics does not know of them") {
  base::Loop loop;
  base::SeededRandom random{7};
  kv::MemoryStore store{loop, {}};
  Everyone everyone;
  ApiServerOptions options;
  options.metrics = false;
  ApiServer api({store, loop, random, everyone}, options);
  CHECK(api.metrics() == nullptr);
  auto exchange = std::make_shared<FakeExchange>();
  exchange->request.method = "GET";
  exchange->request.path = kBase + "/nodes";
  api.handler()(exchange);
  CHECK(exchange->status_ == 404);
}
