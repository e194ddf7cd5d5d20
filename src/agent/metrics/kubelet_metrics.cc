// /metrics: the node itself, its process, and how full the volumes of claims are.
#include <dirent.h>
#include <unistd.h>

#include <cstdlib>

#include "agent/metrics/metric_text.h"
#include "agent/metrics/views.h"
#include "base/file.h"

namespace knarr::agent {

namespace {

constexpr MetricKind kCounter = MetricKind::kCounter;
constexpr MetricKind kGauge = MetricKind::kGauge;

void add_open_files(MetricText& text) {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return;
  uint64_t open = 0;
  while (dirent* entry = readdir(dir)) open += entry->d_name[0] != '.';
  closedir(dir);
  text.family("process_open_fds", kGauge, "File descriptors of this process");
  text.add({}, open - 1);  // that of the listing
}

// Of this process, by the kernel.
void add_process(MetricText& text, const NodeSample& sample) {
  auto stat = base::read_file("/proc/self/stat");
  size_t at = stat.ok() ? stat->rfind(") ") : std::string::npos;
  if (at == std::string::npos) return;
  // proc(5): behind the name in its brackets are the state and, from the fourth on, numbers.
  uint64_t fields[25] = {};
  const char* next = stat->c_str() + at + 3;
  for (int field = 4; field < 25; field++) {
    char* end = nullptr;
    fields[field] = strtoull(next, &end, 10);
    next = end;
  }
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  text.family("process_cpu_seconds_total", kCounter, "Processor time used by this process");
  text.add({}, static_cast<double>(fields[14] + fields[15]) * tick);
  text.family("process_resident_memory_bytes", kGauge, "Memory of this process");
  text.add({}, fields[24] * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  text.family("process_virtual_memory_bytes", kGauge, "Address space of this process");
  text.add({}, fields[23]);
  text.family("process_start_time_seconds", kGauge, "When this process started");
  text.add({}, static_cast<double>(sample.boot_us) / 1e6 + static_cast<double>(fields[22]) * tick);
  add_open_files(text);
}

void add_volumes(MetricText& text, const NodeSample& sample) {
  struct Row {
    const char* name;
    const char* help;
    uint64_t DiskUse::*member;
  };
  const Row rows[] = {
      {"kubelet_volume_stats_available_bytes", "Bytes that the volume has left",
       &DiskUse::available_bytes},
      {"kubelet_volume_stats_capacity_bytes", "Bytes that the volume has in all",
       &DiskUse::capacity_bytes},
      {"kubelet_volume_stats_inodes", "Inodes that the volume has in all", &DiskUse::inodes},
      {"kubelet_volume_stats_inodes_free", "Inodes that the volume has left",
       &DiskUse::inodes_free},
      {"kubelet_volume_stats_inodes_used", "Inodes in use", &DiskUse::inodes_used},
      {"kubelet_volume_stats_used_bytes", "Bytes in use", &DiskUse::used_bytes},
  };
  for (const Row& row : rows) {
    text.family(row.name, kGauge, row.help);
    for (const PodSample& pod : sample.pods) {
      for (const VolumeSample& volume : pod.volumes) {
        if (volume.claim.empty() || !volume.disk) continue;
        text.add({{"namespace", pod.pod->ns()}, {"persistentvolumeclaim", volume.claim}},
                 (*volume.disk).*row.member);
      }
    }
  }
}

}  // namespace

std::string kubelet_metrics(const NodeSample& sample) {
  MetricText text;
  text.family("kubelet_node_name", kGauge, "The name of the node");
  text.add({{"node", sample.node}}, uint64_t{1});
  text.family("kubelet_running_pods", kGauge, "Pods that have a sandbox");
  text.add({}, static_cast<uint64_t>(sample.pods.size()));
  text.family("kubelet_running_containers", kGauge, "Containers, by their state");
  for (const auto& [state, count] : sample.container_states) {
    text.add({{"container_state", state}}, static_cast<uint64_t>(count));
  }
  add_volumes(text, sample);
  add_process(text, sample);
  return text.take();
}

}  // namespace knarr::agent
