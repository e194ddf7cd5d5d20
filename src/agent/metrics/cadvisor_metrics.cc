// /metrics/cadvisor: the node, its pods and their containers by their cgroups.

#include "agent/metrics/metric_text.h"
#include "agent/metrics/views.h"
#include "agent/pod_resources.h"

namespace knarr::agent {

namespace {

using runtime::InterfaceUsage;
using runtime::Usage;

constexpr int64_t kSecondNs = 1000000000;
constexpr MetricKind kCounter = MetricKind::kCounter;
constexpr MetricKind kGauge = MetricKind::kGauge;

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// A cgroup: of a container, or (without its name) of a pod, or (without that, too) above pods.
struct Group {
  std::string id, image, name;  // name: the container's id
  std::string_view container, ns, pod;
  const Usage* usage = nullptr;
  const std::vector<InterfaceUsage>* interfaces = nullptr;
  const runtime::ContainerStatus* status = nullptr;  // of containers
  int64_t started_ns = 0;
  uint64_t memory_limit_bytes = 0;

  MetricLabels labels(const MetricLabels& more = {}) const {
    MetricLabels all = {{"container", container}, {"id", id},        {"image", image},
                        {"name", name},           {"namespace", ns}, {"pod", pod}};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  int64_t at_ms() const { return usage->timestamp_ns / 1000000; }
};

void add_groups_of(const PodSample& p, std::vector<Group>& groups) {
  Group pod;
  pod.id = "/kubepods/" + pod_cgroup(*p.pod);
  pod.ns = p.pod->ns();
  pod.pod = p.pod->name();
  pod.usage = &p.measured.usage;
  pod.interfaces = &p.interfaces;
  pod.memory_limit_bytes = pod.usage->memory_limit_bytes;
  for (const ContainerSample& c : p.containers) {
    bool first = pod.started_ns == 0 || c.status.created_at_ns < pod.started_ns;
    if (first) pod.started_ns = c.status.created_at_ns;
  }
  groups.push_back(pod);
  for (const ContainerSample& c : p.containers) {
    Group one;
    one.id = pod.id + "/" + c.status.id;
    one.image = c.status.image_ref;
    one.name = c.status.id;
    one.container = c.name;
    one.ns = pod.ns;
    one.pod = pod.pod;
    one.usage = &c.measured.usage;
    one.status = &c.status;
    one.started_ns = c.status.started_at_ns;
    one.memory_limit_bytes = one.usage->memory_limit_bytes;
    groups.push_back(std::move(one));
  }
}

std::vector<Group> groups_of(const NodeSample& sample) {
  std::vector<Group> groups;
  Group machine;
  machine.id = "/";
  machine.usage = &sample.machine.usage;
  machine.interfaces = &sample.interfaces;
  machine.started_ns = sample.boot_us * 1000;
  machine.memory_limit_bytes = sample.memory_bytes;
  groups.push_back(machine);
  Group pods = machine;
  pods.id = "/kubepods";
  pods.usage = &sample.all_pods.usage;
  pods.interfaces = nullptr;
  pods.memory_limit_bytes = pods.usage->memory_limit_bytes;
  groups.push_back(pods);
  for (const PodSample& p : sample.pods) add_groups_of(p, groups);
  return groups;
}

struct Family {
  const char* name;
  MetricKind kind;
  const char* help;
  uint64_t Usage::*member;
  bool is_time = false;  // nanoseconds, told as seconds
  bool of_all_cpus = false;
};

const Family kFamilies[] = {
    {"container_cpu_usage_seconds_total", kCounter, "Processor time used", &Usage::cpu_usage_ns,
     true, true},
    {"container_cpu_user_seconds_total", kCounter, "Processor time used by programs",
     &Usage::cpu_user_ns, true},
    {"container_cpu_system_seconds_total", kCounter, "Processor time used by the kernel",
     &Usage::cpu_system_ns, true},
    {"container_memory_usage_bytes", kGauge, "Memory in use, with all caches",
     &Usage::memory_usage_bytes},
    {"container_memory_working_set_bytes", kGauge, "Memory in use that could not be given back",
     &Usage::memory_working_set_bytes},
    {"container_memory_rss", kGauge, "Memory of processes that no file holds",
     &Usage::memory_rss_bytes},
    {"container_memory_cache", kGauge, "Page cache in use", &Usage::memory_cache_bytes},
    {"container_memory_mapped_file", kGauge, "Files that are mapped into memory",
     &Usage::memory_mapped_file_bytes},
    {"container_memory_swap", kGauge, "Swap in use", &Usage::memory_swap_bytes},
    {"container_memory_max_usage_bytes", kGauge, "The most memory that was ever in use",
     &Usage::memory_max_usage_bytes},
    {"container_memory_failcnt", kCounter, "How often the memory limit was met",
     &Usage::memory_failures},
    {"container_threads", kGauge, "Threads that run", &Usage::threads},
};

// Only where there is a limit.
const Family kThrottling[] = {
    {"container_cpu_cfs_periods_total", kCounter, "Periods in which a processor limit was in force",
     &Usage::cpu_periods},
    {"container_cpu_cfs_throttled_periods_total", kCounter, "Periods in which the limit was met",
     &Usage::cpu_throttled_periods},
    {"container_cpu_cfs_throttled_seconds_total", kCounter, "Time spent waiting because of it",
     &Usage::cpu_throttled_ns, true},
};

void add(MetricText& text, const Family& family, const Group& group) {
  uint64_t value = group.usage->*family.member;
  MetricLabels labels = family.of_all_cpus ? group.labels({{"cpu", "total"}}) : group.labels();
  if (family.is_time) return text.add(labels, seconds(value), group.at_ms());
  text.add(labels, value, group.at_ms());
}

void add_page_faults(MetricText& text, const std::vector<Group>& groups) {
  text.family("container_memory_failures_total", kCounter, "Page faults");
  for (const Group& g : groups) {
    for (const char* scope : {"container", "hierarchy"}) {
      text.add(g.labels({{"failure_type", "pgfault"}, {"scope", scope}}), g.usage->page_faults,
               g.at_ms());
      text.add(g.labels({{"failure_type", "pgmajfault"}, {"scope", scope}}),
               g.usage->major_page_faults, g.at_ms());
    }
  }
}

void add_network(MetricText& text, const std::vector<Group>& groups) {
  struct Row {
    const char* name;
    const char* help;
    uint64_t InterfaceUsage::Direction::*member;
  };
  const Row rows[] = {
      {"bytes", "Bytes", &InterfaceUsage::Direction::bytes},
      {"packets", "Packets", &InterfaceUsage::Direction::packets},
      {"packets_dropped", "Packets that were dropped", &InterfaceUsage::Direction::dropped},
      {"errors", "Errors", &InterfaceUsage::Direction::errors},
  };
  for (bool received : {true, false}) {
    for (const Row& row : rows) {
      std::string direction = received ? "receive_" : "transmit_";
      text.family("container_network_" + direction + row.name + "_total", kCounter,
                  std::string(row.help) + (received ? ", received" : ", sent"));
      for (const Group& g : groups) {
        if (g.interfaces == nullptr) continue;
        for (const InterfaceUsage& i : *g.interfaces) {
          text.add(g.labels({{"interface", i.name}}), (received ? i.rx : i.tx).*row.member,
                   g.at_ms());
        }
      }
    }
  }
}

// What was asked for.
void add_specs(MetricText& text, const std::vector<Group>& groups) {
  text.family("container_spec_memory_limit_bytes", kGauge, "The memory limit; 0: none");
  for (const Group& g : groups) text.add(g.labels(), g.memory_limit_bytes);
  struct Row {
    const char* name;
    const char* help;
    int64_t runtime::Resources::*member;
  };
  const Row rows[] = {
      {"container_spec_cpu_period", "The period of the processor limit, in microseconds",
       &runtime::Resources::cpu_period_us},
      {"container_spec_cpu_quota", "The processor limit, in microseconds a period",
       &runtime::Resources::cpu_quota_us},
      {"container_spec_cpu_shares", "The share of the processors", &runtime::Resources::cpu_shares},
  };
  for (const Row& row : rows) {
    text.family(row.name, kGauge, row.help);
    for (const Group& g : groups) {
      int64_t value = g.status == nullptr ? 0 : g.status->resources.*row.member;
      if (value > 0) text.add(g.labels(), static_cast<uint64_t>(value));
    }
  }
}

}  // namespace

std::string cadvisor_metrics(const NodeSample& sample) {
  std::vector<Group> groups = groups_of(sample);
  MetricText text;
  for (const Family& family : kFamilies) {
    text.family(family.name, family.kind, family.help);
    for (const Group& g : groups) add(text, family, g);
  }
  for (const Family& family : kThrottling) {
    text.family(family.name, family.kind, family.help);
    for (const Group& g : groups) {
      if (g.usage->cpu_periods > 0) add(text, family, g);
    }
  }
  add_page_faults(text, groups);
  add_network(text, groups);
  add_specs(text, groups);
  text.family("container_start_time_seconds", kGauge, "When it started");
  for (const Group& g : groups) {
    text.add(g.labels(), static_cast<uint64_t>(g.started_ns / kSecondNs));
  }
  text.family("container_last_seen", kGauge, "When it was looked at");
  for (const Group& g : groups) {
    text.add(g.labels(), static_cast<uint64_t>(g.usage->timestamp_ns / kSecondNs), g.at_ms());
  }
  text.family("container_scrape_error", kGauge, "1 when something could not be measured");
  text.add({}, uint64_t{sample.failed});
  text.family("machine_cpu_cores", kGauge, "Processors of the machine");
  text.add({}, static_cast<uint64_t>(sample.cpus));
  text.family("machine_memory_bytes", kGauge, "Memory of the machine");
  text.add({}, sample.memory_bytes);
  return text.take();
}

}  // namespace knarr::agent
