// What the machine uses as a whole. Its root cgroup would not say: it has no memory on v2, and is
// not the machine's where knarr runs in a container.
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

#include "agent/metrics/sampler.h"
#include "base/file.h"

namespace knarr::agent {

namespace {

std::string text_of(const char* path) {
  auto text = base::read_file(path);
  return text.ok() ? *std::move(text) : std::string();
}

// The number after a word at the beginning of a line.
uint64_t number_after(const std::string& text, const std::string& word) {
  size_t at = ("\n" + text).find("\n" + word);
  return at == std::string::npos ? 0 : strtoull(text.c_str() + at + word.size(), nullptr, 10);
}

void read_processors(MachineSample& sample) {
  std::string stat = text_of("/proc/stat");
  const uint64_t tick_ns = 1000000000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  // user nice system idle iowait irq softirq
  uint64_t ticks[7] = {};
  const char* at = stat.c_str() + (stat.starts_with("cpu ") ? 4 : stat.size());
  for (uint64_t& value : ticks) {
    char* end = nullptr;
    value = strtoull(at, &end, 10);
    at = end;
  }
  runtime::Usage& usage = sample.machine.usage;
  usage.cpu_user_ns = (ticks[0] + ticks[1]) * tick_ns;
  usage.cpu_system_ns = (ticks[2] + ticks[5] + ticks[6]) * tick_ns;
  usage.cpu_usage_ns = usage.cpu_user_ns + usage.cpu_system_ns;
  sample.boot_us = static_cast<int64_t>(number_after(stat, "btime ")) * 1000000;
  sample.cpus = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

void read_memory(MachineSample& sample) {
  std::string info = text_of("/proc/meminfo");
  auto bytes = [&](const char* word) { return number_after(info, word) * 1024; };
  runtime::Usage& usage = sample.machine.usage;
  sample.memory_bytes = bytes("MemTotal:");
  usage.memory_usage_bytes = sample.memory_bytes - bytes("MemFree:");
  uint64_t inactive = bytes("Inactive(file):");
  usage.memory_working_set_bytes =
      usage.memory_usage_bytes > inactive ? usage.memory_usage_bytes - inactive : 0;
  usage.memory_rss_bytes = bytes("AnonPages:");
  usage.memory_cache_bytes = bytes("Cached:");
  usage.memory_mapped_file_bytes = bytes("Mapped:");
  sample.swap_free_bytes = bytes("SwapFree:");
  usage.memory_swap_bytes = bytes("SwapTotal:") - sample.swap_free_bytes;
  std::string paging = text_of("/proc/vmstat");
  usage.page_faults = number_after(paging, "pgfault ");
  usage.major_page_faults = number_after(paging, "pgmajfault ");
}

}  // namespace

void read_machine_usage(MachineSample& sample) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  sample.machine.usage.timestamp_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
  read_processors(sample);
  read_memory(sample);
  sample.max_pid = strtoll(text_of("/proc/sys/kernel/pid_max").c_str(), nullptr, 10);
  struct sysinfo info;
  if (sysinfo(&info) == 0) sample.machine.usage.threads = info.procs;
}

}  // namespace knarr::agent
