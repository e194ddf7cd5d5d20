// What nodes say when they are asked what is used, and the autoscaler that goes by it.
#include "server/metrics/node_metrics.h"

#include <catch2/catch.hpp>
#include <optional>

#include "api/view/meta.h"
#include "base/format.h"
#include "cluster.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using knarr::sim::Cluster;

namespace {

json::Value parse(const std::string& text) {
  auto value = json::parse(text);
  REQUIRE(value.ok());
  return std::move(value).value();
}

// Every node's machine and all containers use `milli` of a processor each.
struct FakeNodes final : NodeReader {
  explicit FakeNodes(Cluster& c) : cluster(c) {}
  struct Slow final : Reading {};

  std::unique_ptr<Reading> read(const ObjectRef& node, const std::string& path,
                                Done done) override {
    CHECK(path == "/metrics/resource");
    readings++;
    if (silent == node->name.name) return std::make_unique<Slow>();
    int64_t ms = cluster.clock.now_us() / 1000;
    used += static_cast<double>(ms - last_ms) / 1e6 * static_cast<double>(milli);
    last_ms = ms;
    std::string text = fmt::format(
        "node_cpu_usage_seconds_total {0} {1}\nnode_memory_working_set_bytes 1000 {1}\n", used, ms);
    cluster.cache().for_each(kPods.key(), "", [&](const ObjectRef& pod) {
      const std::string* of = pod->field("spec.nodeName");
      if (of == nullptr || *of != node->name.name) return true;
      std::string labels = fmt::format("{{container=\"c\",namespace=\"{}\",pod=\"{}\"}}",
                                       pod->name.ns, pod->name.name);
      text += fmt::format("container_cpu_usage_seconds_total{} {} {}\n", labels, used, ms);
      text += fmt::format("container_memory_working_set_bytes{} 5000 {}\n", labels, ms);
      text += fmt::format("container_start_time_seconds{} 1\n", labels);
      return true;
    });
    done(text);
    return nullptr;
  }

  Cluster& cluster;
  int readings = 0;
  int64_t milli = 50;
  double used = 1;
  int64_t last_ms = 0;
  std::string silent;
};

// Made when the cluster is there.
struct Late final : MetricsSource {
  void pod_metrics(const std::string& ns, const api::LabelSelector& selector, Done done) override {
    source->pod_metrics(ns, selector, std::move(done));
  }
  std::unique_ptr<NodeMetrics> source;
};

struct Measured {
  Measured() {
    c.set_metrics(&late);
    c.start();
    late.source = std::make_unique<NodeMetrics>(c.cache(), c.clock);
    nodes.last_ms = c.clock.now_us() / 1000;
    late.source->set_reader(&nodes);
    c.add_node("n1");
    c.add_node("n2");
    REQUIRE(c.eventually([&] {
      return !c.get(kServiceAccounts, {"default", "default"}).is_null();
    }));
  }
  ~Measured() { late.source.reset(); }
  std::vector<NodeMetrics::NodeUse> ask(int64_t limit_ms = 10000) {
    std::vector<ObjectRef> all;
    c.cache().for_each(kNodes.key(), "", [&](const ObjectRef& node) {
      all.push_back(node);
      return true;
    });
    std::optional<std::vector<NodeMetrics::NodeUse>> got;
    late.source->nodes(all, [&](std::vector<NodeMetrics::NodeUse> uses) { got = std::move(uses); });
    REQUIRE(c.eventually([&] { return got.has_value(); }, limit_ms));
    return *got;
  }
  Late late;
  Cluster c{21};
  FakeNodes nodes{c};
};

}  // namespace

TEST_CASE("nodes are asked when somebody wants to know, and only then") {
  Measured m;
  CHECK(m.nodes.readings == 0);
  auto uses = m.ask();
  REQUIRE(uses.size() == 2);
  CHECK(uses[0].rate.cpu_nano_cores == Approx(50000000).epsilon(0.01));
  CHECK(uses[0].rate.window_us == 1000000);
  CHECK(uses[0].rate.memory_bytes == 1000);
  CHECK(m.nodes.readings == 4);  // two each, a second apart
  m.ask(0);                      // at once: it was read just now
  CHECK(m.nodes.readings == 4);
  m.c.clock.run_for(15000);
  CHECK(m.nodes.readings == 4);
  uses = m.ask();
  CHECK(m.nodes.readings == 6);
  CHECK(uses[0].rate.window_us > 14000000);
  m.c.clock.run_for(120000);
  uses = m.ask();
  CHECK(m.nodes.readings == 10);  // the last reading was too old
  CHECK(uses[0].rate.window_us == 1000000);
}

TEST_CASE("who asks all the time does not shorten others' windows") {
  Measured m;
  m.ask();
  for (int second = 2; second < 40; second++) {
    m.c.clock.run_for(1000);
    auto uses = m.ask(0);
    REQUIRE(uses.size() == 2);
    CHECK(uses[0].rate.window_us >= std::min(second - 1, 14) * 1000000LL);
    CHECK(uses[0].rate.window_us < 25000000);
  }
  // A burst within the last second hardly moves what is said of a quarter of a minute.
  m.nodes.milli = 1000;
  m.c.clock.run_for(1000);
  CHECK(m.ask(0)[0].rate.cpu_nano_cores < 150000000);
  // One answer that did not come takes no earlier ones away.
  m.nodes.silent = "n1";
  m.c.clock.run_for(1000);
  CHECK(m.ask().size() == 1);
  m.nodes.silent.clear();
  m.c.clock.run_for(1000);
  auto uses = m.ask(0);
  REQUIRE(uses.size() == 2);
  CHECK(uses[0].rate.window_us >= 14000000);
}

TEST_CASE("a node that does not answer holds nobody up for long") {
  Measured m;
  m.nodes.silent = "n1";
  auto uses = m.ask();
  REQUIRE(uses.size() == 1);
  CHECK(uses[0].node->name.name == "n2");
  m.nodes.silent.clear();
  m.c.clock.run_for(2000);
  CHECK(m.ask().size() == 2);
}

TEST_CASE("an autoscaler follows what nodes say") {
  Measured m;
  REQUIRE(m.c.create(kDeployments, "default", parse(R"({"metadata": {"name": "d"}, "spec": {
    "replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels":
    {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests":
    {"cpu": "100m"}}}]}}}})"))
              .ok());
  REQUIRE(m.c.create(kAutoscalers, "default", parse(R"({"metadata": {"name": "h"}, "spec": {
    "minReplicas": 1, "maxReplicas": 8, "scaleTargetRef": {"apiVersion": "apps/v1",
    "kind": "Deployment", "name": "d"}, "metrics": [{"type": "Resource", "resource": {
    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})"))
              .ok());
  auto replicas = [&] {
    return m.c.get(kDeployments, {"default", "d"})["spec"]["replicas"].as_int();
  };
  m.c.clock.run_for(10 * 60000);
  CHECK(replicas() == 2);
  json::Value h = m.c.get(kAutoscalers, {"default", "h"});
  CHECK(api::condition_is(h["status"]["conditions"], "ScalingActive", "True"));
  const json::Value& current = h["status"]["currentMetrics"][0]["resource"]["current"];
  CHECK(std::abs(current["averageUtilization"].as_int() - 50) <= 1);
  m.nodes.milli = 100;
  CHECK(m.c.eventually([&] { return replicas() == 4; }, 120000));
}
