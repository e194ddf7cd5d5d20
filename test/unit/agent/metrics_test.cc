// What a node tells of what is used: names, shapes and numbers.
#include <catch2/catch.hpp>

#include "agent/metrics/metric_text.h"
#include "agent/metrics/sampler.h"
#include "agent/metrics/views.h"
#include "agent/pod_resources.h"
#include "fake_node.h"

using namespace knarr;
using namespace knarr::agent;
using json::Value;

namespace {

constexpr int64_t kNowUs = 1'800'000'000'500'000;

runtime::Usage usage_of(uint64_t cpu_ns, uint64_t memory) {
  runtime::Usage u;
  u.timestamp_ns = kNowUs * 1000;
  u.cpu_usage_ns = cpu_ns;
  u.memory_usage_bytes = memory + 100;
  u.memory_working_set_bytes = memory;
  u.memory_rss_bytes = memory / 2;
  u.threads = 3;
  return u;
}

DiskUse disk_of(uint64_t used) { return {10000, 4000, used, 100, 60, 40}; }

NodeSample one_pod() {
  NodeSample sample;
  sample.node = "n1";
  sample.now_us = kNowUs;
  sample.boot_us = kNowUs - 3600 * 1000000LL;
  sample.machine = {usage_of(9000000000, 6000), 250000000};
  sample.memory_bytes = 16000;
  sample.cpus = 2;
  sample.all_pods = {usage_of(3000000000, 2000), {}};
  sample.disk = disk_of(6000);
  sample.images = disk_of(1000);
  sample.interfaces = {{"eth1", {5, 1, 0, 0}, {6, 1, 0, 0}}, {"eth0", {7, 1, 0, 0}, {8, 1, 0, 0}}};
  PodSample pod;
  pod.pod = test::make_pod(test::spec_of({test::container("web")}));
  pod.measured = {usage_of(2500000000, 1500), {}};
  pod.interfaces = {{"eth0", {11, 12, 13, 14}, {21, 22, 23, 24}}};
  ContainerSample c;
  c.name = "web";
  c.status.id = "abc";
  c.status.image_ref = "docker.io/library/httpd:latest";
  c.status.started_at_ns = (kNowUs - 60 * 1000000LL) * 1000;
  c.status.created_at_ns = c.status.started_at_ns;
  c.status.resources.cpu_shares = 512;
  c.measured = {usage_of(2000000000, 1000), {}};
  c.measured.usage.memory_limit_bytes = 4000;
  c.rootfs = disk_of(50);
  c.logs = disk_of(5);
  pod.containers.push_back(c);
  pod.volumes = {{"data", "claim", "/x", disk_of(6000)}, {"tmp", "", "/y", disk_of(7)}};
  sample.pods.push_back(pod);
  sample.container_states["running"] = 1;
  sample.probes = {{"default", "p", "u1", "web", ProbeKind::kLiveness, "failed", 4}};
  return sample;
}

// As who reads it gets it.
Value summary_of(bool brief) { return *json::parse(json::write(stats_summary(one_pod(), brief))); }

bool has_line(const std::string& text, const std::string& line) {
  bool there = ("\n" + text).find("\n" + line + "\n") != std::string::npos;
  if (!there) UNSCOPED_INFO("no line " << line << " in\n" << text);
  return there;
}

}  // namespace

TEST_CASE("a family has its heading once, and none without samples") {
  MetricText text;
  text.family("empty", MetricKind::kGauge, "Nothing");
  text.family("some_total", MetricKind::kCounter, "Some");
  text.add({{"a", "x\"y\\z\n"}}, uint64_t{1});
  text.add({}, 0.5, 1700000000123);
  CHECK(text.take() ==
        "# HELP some_total Some\n# TYPE some_total counter\n"
        "some_total{a=\"x\\\"y\\\\z\\n\"} 1\nsome_total 0.5 1700000000123\n");
}

TEST_CASE("the summary of a node and its pods") {
  Value summary = summary_of(false);
  const Value& node = summary["node"];
  CHECK(node["nodeName"].as_string() == "n1");
  CHECK(node["cpu"]["usageNanoCores"].as_int() == 250000000);
  CHECK(node["cpu"]["usageCoreNanoSeconds"].as_int() == 9000000000);
  CHECK(node["memory"]["availableBytes"].as_int() == 10000);
  CHECK(node["memory"]["workingSetBytes"].as_int() == 6000);
  CHECK(node["network"]["name"].as_string() == "eth0");
  CHECK(node["network"]["rxBytes"].as_int() == 7);
  CHECK(node["network"]["interfaces"].size() == 2);
  CHECK(node["fs"]["usedBytes"].as_int() == 6000);
  CHECK(node["runtime"]["imageFs"]["usedBytes"].as_int() == 1000);
  CHECK(node["systemContainers"][0]["name"].as_string() == "pods");
  const Value& pod = summary["pods"][0];
  CHECK(pod["podRef"]["name"].as_string() == "p");
  CHECK(pod["cpu"]["usageNanoCores"].is_null());  // it was not looked at before
  CHECK(pod["memory"]["availableBytes"].is_null());
  CHECK(pod["network"]["txBytes"].as_int() == 21);
  CHECK(pod["volume"][0]["pvcRef"]["name"].as_string() == "claim");
  CHECK(pod["volume"][1]["pvcRef"].is_null());
  CHECK(pod["ephemeral-storage"]["usedBytes"].as_int() == 50 + 5 + 7);
  const Value& container = pod["containers"][0];
  CHECK(container["memory"]["availableBytes"].as_int() == 3000);
  CHECK(container["rootfs"]["usedBytes"].as_int() == 50);
  CHECK(container["logs"]["usedBytes"].as_int() == 5);

  Value brief = summary_of(true);
  CHECK(brief["node"]["fs"].is_null());
  CHECK(brief["pods"][0]["network"].is_null());
  CHECK(brief["pods"][0]["containers"][0]["rootfs"].is_null());
  CHECK(brief["pods"][0]["containers"][0]["memory"]["workingSetBytes"].as_int() == 1000);
}

TEST_CASE("metrics by their names") {
  NodeSample sample = one_pod();
  std::string resource = resource_metrics(sample);
  CHECK(has_line(resource,
                 "container_cpu_usage_seconds_total{container=\"web\",namespace=\"default\","
                 "pod=\"p\"} 2 1800000000500"));
  CHECK(has_line(resource,
                 "pod_memory_working_set_bytes{namespace=\"default\",pod=\"p\"} 1500 "
                 "1800000000500"));
  CHECK(has_line(resource, "node_cpu_usage_seconds_total 9 1800000000500"));
  CHECK(has_line(resource, "# TYPE node_cpu_usage_seconds_total counter"));
  CHECK(has_line(resource, "resource_scrape_error 0"));

  std::string cadvisor = cadvisor_metrics(sample);
  std::string group = "/kubepods/" + pod_cgroup(*sample.pods[0].pod);
  std::string web = "{container=\"web\",id=\"" + group +
                    "/abc\",image=\"docker.io/library/httpd:latest\",name=\"abc\","
                    "namespace=\"default\",pod=\"p\"";
  CHECK(has_line(cadvisor,
                 "container_cpu_usage_seconds_total" + web + ",cpu=\"total\"} 2 1800000000500"));
  CHECK(has_line(cadvisor, "container_memory_working_set_bytes" + web + "} 1000 1800000000500"));
  CHECK(has_line(cadvisor, "container_spec_memory_limit_bytes" + web + "} 4000"));
  CHECK(has_line(cadvisor, "container_spec_cpu_shares" + web + "} 512"));
  CHECK(has_line(cadvisor, "container_network_receive_bytes_total{container=\"\",id=\"" + group +
                               "\",image=\"\",name=\"\",namespace=\"default\",pod=\"p\","
                               "interface=\"eth0\"} 11 1800000000500"));
  CHECK(has_line(cadvisor, "machine_cpu_cores 2"));
  CHECK(cadvisor.find("container_cpu_cfs_periods_total") == std::string::npos);

  CHECK(has_line(probe_metrics(sample),
                 "prober_probe_total{container=\"web\",namespace=\"default\",pod=\"p\","
                 "pod_uid=\"u1\",probe_type=\"Liveness\",result=\"failed\"} 4"));
  std::string kubelet = kubelet_metrics(sample);
  CHECK(has_line(kubelet, "kubelet_running_pods 1"));
  CHECK(has_line(kubelet, "kubelet_running_containers{container_state=\"running\"} 1"));
  CHECK(has_line(kubelet,
                 "kubelet_volume_stats_used_bytes{namespace=\"default\","
                 "persistentvolumeclaim=\"claim\"} 6000"));
  CHECK(kubelet.find("process_resident_memory_bytes") != std::string::npos);
}

TEST_CASE("the machine's own use is what the kernel says") {
  NodeSample sample;
  read_machine_usage(sample);
  CHECK(sample.cpus >= 1);
  CHECK(sample.machine.usage.cpu_usage_ns > 0);
  CHECK(sample.memory_bytes > sample.machine.usage.memory_working_set_bytes);
  CHECK(sample.machine.usage.memory_working_set_bytes > 0);
  CHECK(sample.boot_us > 0);
  CHECK(sample.max_pid > 0);
}
