// /metrics/resource, which metrics-server and knarr itself read, and /metrics/probes.

#include "agent/metrics/metric_text.h"
#include "agent/metrics/views.h"

namespace knarr::agent {

namespace {

using runtime::Usage;

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// What is told of all three: the node, pods and containers.
struct Family {
  const char* name;
  MetricKind kind;
  const char* help;
  uint64_t Usage::*member;
  bool is_time;  // nanoseconds, told as seconds
};

const Family kFamilies[] = {
    {"cpu_usage_seconds_total", MetricKind::kCounter, "Processor time used, in core-seconds",
     &Usage::cpu_usage_ns, true},
    {"memory_working_set_bytes", MetricKind::kGauge, "Memory in use that could not be given back",
     &Usage::memory_working_set_bytes, false},
    {"swap_usage_bytes", MetricKind::kGauge, "Swap in use", &Usage::memory_swap_bytes, false},
};

void add(MetricText& text, const Family& family, const MetricLabels& labels, const Usage& usage) {
  int64_t at_ms = usage.timestamp_ns / 1000000;
  if (family.is_time) return text.add(labels, seconds(usage.*family.member), at_ms);
  text.add(labels, usage.*family.member, at_ms);
}

MetricLabels labels_of(const PodSample& pod) {
  return {{"namespace", pod.pod->ns()}, {"pod", pod.pod->name()}};
}

MetricLabels labels_of(const PodSample& pod, const ContainerSample& c) {
  return {{"container", c.name}, {"namespace", pod.pod->ns()}, {"pod", pod.pod->name()}};
}

const char* type_text(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup: return "Startup";
    case ProbeKind::kLiveness: return "Liveness";
    case ProbeKind::kReadiness: break;
  }
  return "Readiness";
}

}  // namespace

std::string resource_metrics(const NodeSample& sample) {
  MetricText text;
  for (const Family& family : kFamilies) {
    text.family(std::string("container_") + family.name, family.kind, family.help);
    for (const PodSample& pod : sample.pods) {
      for (const ContainerSample& c : pod.containers) {
        add(text, family, labels_of(pod, c), c.measured.usage);
      }
    }
  }
  text.family("container_start_time_seconds", MetricKind::kGauge, "When the container started");
  for (const PodSample& pod : sample.pods) {
    for (const ContainerSample& c : pod.containers) {
      text.add(labels_of(pod, c), seconds(static_cast<uint64_t>(c.status.started_at_ns)));
    }
  }
  for (const Family& family : kFamilies) {
    text.family(std::string("node_") + family.name, family.kind, family.help);
    add(text, family, {}, sample.machine.usage);
  }
  for (const Family& family : kFamilies) {
    text.family(std::string("pod_") + family.name, family.kind, family.help);
    for (const PodSample& pod : sample.pods) {
      add(text, family, labels_of(pod), pod.measured.usage);
    }
  }
  text.family("resource_scrape_error", MetricKind::kGauge,
              "1 when something could not be measured");
  text.add({}, uint64_t{sample.failed});
  return text.take();
}

std::string probe_metrics(const NodeSample& sample) {
  MetricText text;
  text.family("prober_probe_total", MetricKind::kCounter, "Results of probes, by container");
  for (const ProbeCount& c : sample.probes) {
    text.add({{"container", c.container},
              {"namespace", c.ns},
              {"pod", c.pod},
              {"pod_uid", c.pod_uid},
              {"probe_type", type_text(c.kind)},
              {"result", c.result}},
             c.count);
  }
  return text.take();
}

}  // namespace knarr::agent
