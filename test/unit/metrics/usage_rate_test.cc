#include <catch2/catch.hpp>

#include "server/metrics/metrics_objects.h"
#include "server/metrics/node_metrics.h"

using namespace knarr;
using namespace knarr::server;

TEST_CASE("what a node says of what is used is read") {
  NodeCounters c = parse_resource_metrics(
      "# HELP node_cpu_usage_seconds_total Processor time\n"
      "# TYPE node_cpu_usage_seconds_total counter\n"
      "node_cpu_usage_seconds_total 357.35491 1633253809720\n"
      "node_memory_working_set_bytes 1.616273408e+09 1633253809720\n"
      "container_cpu_usage_seconds_total{container=\"a\",namespace=\"n\",pod=\"p\"} 4.5 1000\n"
      "container_memory_working_set_bytes{container=\"a\",namespace=\"n\",pod=\"p\"} 1024 1000\n"
      "container_start_time_seconds{container=\"a\",namespace=\"n\",pod=\"p\"} 1.63325e+09\n"
      "container_cpu_usage_seconds_total{pod=\"q\",container=\"b\\\"\\\\\",namespace=\"n\"} 1\n"
      "pod_cpu_usage_seconds_total{namespace=\"n\",pod=\"p\"} 9 1000\n"
      "container_cpu_usage_seconds_total{container=\"y\",namespace=\"n\",pod=\"p\"} NaN 1000\n"
      "container_cpu_usage_seconds_total{container=\"z\",namespace=\"n\",pod=\"p\"} -1 1000\n"
      "container_cpu_usage_seconds_total{container=\"open\n"
      "node_cpu_usage_seconds_total\n"
      "garbage {\n");
  CHECK(*c.node.cpu_seconds == Approx(357.35491));
  CHECK(c.node.cpu_ms == 1633253809720);
  CHECK(*c.node.memory_bytes == 1616273408);
  REQUIRE(c.pods.size() == 2);
  const auto& p = c.pods.at({"n", "p"});
  REQUIRE(p.size() == 1);
  CHECK(*p.at("a").cpu_seconds == 4.5);
  CHECK(*p.at("a").memory_bytes == 1024);
  CHECK(p.at("a").started_seconds == 1633250000);
  CHECK(c.pods.at({"n", "q"}).count("b\"\\") == 1);
}

TEST_CASE("a rate is of the time between two readings, or since the start") {
  auto counter = [](double cpu, int64_t ms, double started = 0) {
    UsageCounter c;
    c.cpu_seconds = cpu;
    c.cpu_ms = ms;
    c.memory_bytes = 4096;
    c.started_seconds = started;
    return c;
  };
  auto check = [](std::optional<UsageRate> rate, int64_t nano, int64_t window_ms) {
    REQUIRE(rate);
    CHECK(rate->cpu_nano_cores == nano);
    CHECK(rate->window_us == window_ms * 1000);
    CHECK(rate->memory_bytes == 4096);
  };
  UsageCounter before = counter(10, 100000, 50);
  check(usage_rate(&before, counter(10.5, 102000, 50)), 250000000, 2000);
  check(usage_rate(&before, counter(10, 102000, 50)), 0, 2000);
  // Restarted meanwhile, or not seen before: since it started.
  check(usage_rate(&before, counter(1, 102000, 100)), 500000000, 2000);
  check(usage_rate(&before, counter(9, 102000, 50)), 173076923, 52000);
  check(usage_rate(nullptr, counter(1, 102000, 100)), 500000000, 2000);
  CHECK_FALSE(usage_rate(nullptr, counter(1, 102000)));
  CHECK_FALSE(usage_rate(nullptr, counter(1, 102000, 101.95)));
  CHECK_FALSE(usage_rate(nullptr, counter(1, 102000, 200)));
  UsageCounter half = counter(1, 102000, 100);
  half.memory_bytes.reset();
  CHECK_FALSE(usage_rate(nullptr, half));
}

TEST_CASE("a window is some fifteen seconds, however often a node is asked") {
  auto check = [](const std::vector<int64_t>& asked_ms, int64_t window_ms) {
    Readings readings;
    for (int64_t ms : asked_ms) {
      NodeCounters c;
      c.node.cpu_seconds = static_cast<double>(ms) / 1000;
      readings.add(ms, c);
    }
    CHECK(readings.last().ms == asked_ms.back());
    CHECK(readings.window_ms() == window_ms);
  };
  check({0}, 0);
  check({0, 1000}, 1000);
  check({0, 1000, 2000}, 2000);
  check({0, 1000, 15000}, 15000);
  check({0, 1000, 16000, 31000, 46000}, 15000);
  check({0, 15000, 29995, 45000}, 15005);
  check({0, 15000, 16000, 17000}, 17000);  // somebody else in between
  check({0, 15000, 16000, 17000, 30000, 30500}, 15500);
  check({0, 4000, 8000, 12000, 16000, 20000}, 20000);
  check({0, 4000, 8000, 12000, 16000, 20000, 24000}, 16000);
  for (int64_t step : {500, 1000, 2000, 3000, 7000, 14000, 15000, 20000, 50000}) {
    Readings readings;
    for (int64_t ms = 0; ms < 300000; ms += step) {
      readings.add(ms, {});
      CHECK(readings.window_ms() >= std::min<int64_t>(ms, 14000));
      CHECK(readings.window_ms() < std::max<int64_t>(24000, 2 * step));
    }
  }
  // The machine has started again.
  Readings readings;
  NodeCounters c;
  for (double used : {500.0, 515.0, 3.0}) {
    c.node.cpu_seconds = used;
    readings.add(1000 * static_cast<int64_t>(used), c);
  }
  CHECK_FALSE(readings.has_window());
}

TEST_CASE("the objects that tell of it") {
  auto pod = std::make_shared<Object>();
  pod->name = {"n", "p"};
  pod->labels = {{"a", "b"}};
  NodeMetrics::PodUse use{pod, {}};
  use.containers["c"] = {1500000, 2048, 1700000000000000, 15000000};
  use.containers["d"] = {123456789, 4096, 1700000001000000, 1500000};
  CHECK(pod_metrics_object(use, 1700000002000000)->json ==
        R"({"kind":"PodMetrics","apiVersion":"metrics.k8s.io/v1beta1","metadata":{"name":"p",)"
        R"("namespace":"n","creationTimestamp":"2023-11-14T22:13:22Z","labels":{"a":"b"}},)"
        R"("timestamp":"2023-11-14T22:13:20Z","window":"15s","containers":[{"name":"c",)"
        R"("usage":{"cpu":"1500u","memory":"2Ki"}},{"name":"d","usage":{"cpu":"123456789n",)"
        R"("memory":"4Ki"}}]})");
  auto node = std::make_shared<Object>();
  node->name = {"", "n1"};
  CHECK(node_metrics_object({node, {2000000000, 1 << 20, 1700000000000000, 1000500}},
                            1700000002000000)
            ->json ==
        R"({"kind":"NodeMetrics","apiVersion":"metrics.k8s.io/v1beta1","metadata":{"name":"n1",)"
        R"("creationTimestamp":"2023-11-14T22:13:22Z"},"timestamp":"2023-11-14T22:13:20Z",)"
        R"("window":"1.0005s","usage":{"cpu":"2","memory":"1Mi"}})");
}
