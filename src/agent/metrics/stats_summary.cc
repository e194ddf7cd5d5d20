// The summary that tells what a node, its pods and their containers use.

#include "agent/metrics/views.h"
#include "base/time.h"

namespace knarr::agent {

namespace {

using json::Value;

std::string time_text(int64_t ns) { return base::format_time(ns / 1000); }

Value cpu_of(const Measured& m) {
  Value v = Value::object({{"time", time_text(m.usage.timestamp_ns)}});
  if (m.nano_cores) v.set("usageNanoCores", *m.nano_cores);
  return v.set("usageCoreNanoSeconds", m.usage.cpu_usage_ns);
}

// `capacity_bytes` 0: there is no limit, and so nothing that is still available.
Value memory_of(const runtime::Usage& u, uint64_t capacity_bytes) {
  Value v = Value::object({{"time", time_text(u.timestamp_ns)}});
  if (capacity_bytes > u.memory_working_set_bytes) {
    v.set("availableBytes", capacity_bytes - u.memory_working_set_bytes);
  } else if (capacity_bytes > 0) {
    v.set("availableBytes", 0);
  }
  v.set("usageBytes", u.memory_usage_bytes).set("workingSetBytes", u.memory_working_set_bytes);
  v.set("rssBytes", u.memory_rss_bytes).set("pageFaults", u.page_faults);
  return v.set("majorPageFaults", u.major_page_faults);
}

Value disk_of(const DiskUse& d, const std::string& time) {
  return Value::object({{"time", time},
                        {"availableBytes", d.available_bytes},
                        {"capacityBytes", d.capacity_bytes},
                        {"usedBytes", d.used_bytes},
                        {"inodesFree", d.inodes_free},
                        {"inodes", d.inodes},
                        {"inodesUsed", d.inodes_used}});
}

Value interface_of(const runtime::InterfaceUsage& i) {
  return Value::object({{"name", i.name},
                        {"rxBytes", i.rx.bytes},
                        {"rxErrors", i.rx.errors},
                        {"txBytes", i.tx.bytes},
                        {"txErrors", i.tx.errors}});
}

// One interface's numbers stand for the whole: eth0, or where none is called so, the first.
Value network_of(const std::vector<runtime::InterfaceUsage>& interfaces, int64_t timestamp_ns) {
  Value v = Value::object({{"time", time_text(timestamp_ns)}});
  const runtime::InterfaceUsage* main = &interfaces[0];
  Value all = Value::array();
  for (const runtime::InterfaceUsage& i : interfaces) {
    if (i.name == "eth0") main = &i;
    all.push_back(interface_of(i));
  }
  Value first = interface_of(*main);
  for (json::Member m : first.members()) v.set(m.key, std::move(m.value));
  return v.set("interfaces", std::move(all));
}

Value swap_of(const runtime::Usage& u) {
  return Value::object(
      {{"time", time_text(u.timestamp_ns)}, {"swapUsageBytes", u.memory_swap_bytes}});
}

Value container_of(const ContainerSample& c, const std::string& now, bool brief) {
  Value v = Value::object({{"name", c.name}, {"startTime", time_text(c.status.started_at_ns)}});
  v.set("cpu", cpu_of(c.measured));
  v.set("memory", memory_of(c.measured.usage, c.measured.usage.memory_limit_bytes));
  if (brief) return v;
  if (c.rootfs) v.set("rootfs", disk_of(*c.rootfs, now));
  if (c.logs) v.set("logs", disk_of(*c.logs, now));
  return v.set("swap", swap_of(c.measured.usage));
}

void add_disks(Value& v, const NodeSample& sample, const PodSample& pod, const std::string& now) {
  DiskUse ephemeral = *sample.disk;
  ephemeral.used_bytes = ephemeral.inodes_used = 0;
  auto count = [&](const std::optional<DiskUse>& use) {
    if (!use) return;
    ephemeral.used_bytes += use->used_bytes;
    ephemeral.inodes_used += use->inodes_used;
  };
  for (const ContainerSample& c : pod.containers) {
    count(c.rootfs);
    count(c.logs);
  }
  Value volumes = Value::array();
  for (const VolumeSample& volume : pod.volumes) {
    if (!volume.disk) continue;
    Value one = disk_of(*volume.disk, now);
    one.set("name", volume.name);
    if (volume.claim.empty()) {
      count(volume.disk);
    } else {
      one.set("pvcRef", Value::object({{"name", volume.claim}, {"namespace", pod.pod->ns()}}));
    }
    volumes.push_back(std::move(one));
  }
  if (!volumes.empty()) v.set("volume", std::move(volumes));
  v.set("ephemeral-storage", disk_of(ephemeral, now));
}

Value pod_of(const NodeSample& sample, const PodSample& pod, const std::string& now, bool brief) {
  Value v = Value::object({{"podRef", Value::object({{"name", pod.pod->name()},
                                                     {"namespace", pod.pod->ns()},
                                                     {"uid", pod.pod->uid()}})}});
  const Value& started = pod.pod->status()["startTime"];
  v.set("startTime", started.is_null() ? pod.pod->metadata()["creationTimestamp"] : started);
  Value containers = Value::array();
  for (const ContainerSample& c : pod.containers) containers.push_back(container_of(c, now, brief));
  v.set("containers", std::move(containers));
  const runtime::Usage& usage = pod.measured.usage;
  v.set("cpu", cpu_of(pod.measured)).set("memory", memory_of(usage, usage.memory_limit_bytes));
  if (brief) return v;
  if (!pod.interfaces.empty()) v.set("network", network_of(pod.interfaces, usage.timestamp_ns));
  if (sample.disk) add_disks(v, sample, pod, now);
  v.set("process_stats", Value::object({{"process_count", usage.threads}}));
  return v.set("swap", swap_of(usage));
}

Value node_of(const NodeSample& sample, const std::string& now, bool brief) {
  const runtime::Usage& usage = sample.machine.usage;
  std::string boot = base::format_time(sample.boot_us);
  Value pods = Value::object({{"name", "pods"}, {"startTime", boot}});
  const runtime::Usage& all = sample.all_pods.usage;
  pods.set("cpu", cpu_of(sample.all_pods)).set("memory", memory_of(all, all.memory_limit_bytes));
  Value v = Value::object({{"nodeName", sample.node}, {"startTime", boot}});
  v.set("systemContainers", Value::array({std::move(pods)}));
  v.set("cpu", cpu_of(sample.machine)).set("memory", memory_of(usage, sample.memory_bytes));
  if (brief) return v;
  if (!sample.interfaces.empty()) {
    v.set("network", network_of(sample.interfaces, usage.timestamp_ns));
  }
  if (sample.disk) {
    v.set("fs", disk_of(*sample.disk, now));
    Value images = disk_of(sample.images ? *sample.images : *sample.disk, now);
    v.set("runtime",
          Value::object({{"imageFs", images}, {"containerFs", disk_of(*sample.disk, now)}}));
  }
  v.set("rlimit",
        Value::object({{"time", now}, {"maxpid", sample.max_pid}, {"curproc", usage.threads}}));
  return v.set("swap", Value::object({{"time", now},
                                      {"swapAvailableBytes", sample.swap_free_bytes},
                                      {"swapUsageBytes", usage.memory_swap_bytes}}));
}

}  // namespace

Value stats_summary(const NodeSample& sample, bool brief) {
  std::string now = base::format_time(sample.now_us);
  Value pods = Value::array();
  for (const PodSample& pod : sample.pods) pods.push_back(pod_of(sample, pod, now, brief));
  return Value::object({{"node", node_of(sample, now, brief)}, {"pods", std::move(pods)}});
}

}  // namespace knarr::agent
