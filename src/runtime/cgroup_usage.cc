#include "runtime/cgroup_usage.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "runtime/cgroup_files.h"

namespace knarr::runtime {

namespace {

// What v1 calls no limit is the greatest number of pages, in bytes.
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

// "max" is 0, as what is absent.
uint64_t number(const std::string& text) { return strtoull(text.c_str(), nullptr, 10); }

uint64_t working_set(uint64_t usage, uint64_t inactive) {
  return usage > inactive ? usage - inactive : 0;
}

uint64_t ticks_to_ns(uint64_t ticks) {
  return ticks * (1000000000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
}

}  // namespace

Usage usage_of_v1(const ReadGroupFile& read) {
  Usage u;
  u.cpu_usage_ns = number(read("cpuacct", "cpuacct.usage"));
  std::string split = read("cpuacct", "cpuacct.stat");
  u.cpu_user_ns = ticks_to_ns(flat_value(split, "user"));
  u.cpu_system_ns = ticks_to_ns(flat_value(split, "system"));
  std::string cpu = read("cpu", "cpu.stat");
  u.cpu_periods = flat_value(cpu, "nr_periods");
  u.cpu_throttled_periods = flat_value(cpu, "nr_throttled");
  u.cpu_throttled_ns = flat_value(cpu, "throttled_time");
  u.memory_usage_bytes = number(read("memory", "memory.usage_in_bytes"));
  u.memory_max_usage_bytes = number(read("memory", "memory.max_usage_in_bytes"));
  u.memory_failures = number(read("memory", "memory.failcnt"));
  u.memory_limit_bytes = number(read("memory", "memory.limit_in_bytes"));
  if (u.memory_limit_bytes >= kNoLimit) u.memory_limit_bytes = 0;
  std::string stat = read("memory", "memory.stat");
  u.memory_rss_bytes = flat_value(stat, "total_rss");
  u.memory_cache_bytes = flat_value(stat, "total_cache");
  u.memory_mapped_file_bytes = flat_value(stat, "total_mapped_file");
  u.memory_swap_bytes = flat_value(stat, "total_swap");
  u.page_faults = flat_value(stat, "total_pgfault");
  u.major_page_faults = flat_value(stat, "total_pgmajfault");
  u.memory_working_set_bytes =
      working_set(u.memory_usage_bytes, flat_value(stat, "total_inactive_file"));
  u.threads = number(read("pids", "pids.current"));
  return u;
}

Usage usage_of_v2(const ReadGroupFile& read) {
  Usage u;
  std::string cpu = read("cpu", "cpu.stat");
  u.cpu_usage_ns = flat_value(cpu, "usage_usec") * 1000;
  u.cpu_user_ns = flat_value(cpu, "user_usec") * 1000;
  u.cpu_system_ns = flat_value(cpu, "system_usec") * 1000;
  u.cpu_periods = flat_value(cpu, "nr_periods");
  u.cpu_throttled_periods = flat_value(cpu, "nr_throttled");
  u.cpu_throttled_ns = flat_value(cpu, "throttled_usec") * 1000;
  u.memory_usage_bytes = number(read("memory", "memory.current"));
  u.memory_max_usage_bytes = number(read("memory", "memory.peak"));
  u.memory_limit_bytes = number(read("memory", "memory.max"));
  u.memory_swap_bytes = number(read("memory", "memory.swap.current"));
  u.memory_failures = flat_value(read("memory", "memory.events"), "max");
  std::string stat = read("memory", "memory.stat");
  u.memory_rss_bytes = flat_value(stat, "anon");
  u.memory_cache_bytes = flat_value(stat, "file");
  u.memory_mapped_file_bytes = flat_value(stat, "file_mapped");
  u.page_faults = flat_value(stat, "pgfault");
  u.major_page_faults = flat_value(stat, "pgmajfault");
  u.memory_working_set_bytes = working_set(u.memory_usage_bytes, flat_value(stat, "inactive_file"));
  u.threads = number(read("pids", "pids.current"));
  return u;
}

std::vector<InterfaceUsage> interface_usage(std::string_view text) {
  std::vector<InterfaceUsage> out;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;  // the headings
    size_t begin = line.find_first_not_of(' ');
    InterfaceUsage usage;
    usage.name = line.substr(begin, colon - begin);
    if (usage.name == "lo") continue;
    std::array<uint64_t, 16> values{};
    line.remove_prefix(colon + 1);
    for (uint64_t& value : values) {
      line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
      auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), value);
      line.remove_prefix(static_cast<size_t>(stop - line.data()));
    }
    usage.rx = {values[0], values[1], values[2], values[3]};
    usage.tx = {values[8], values[9], values[10], values[11]};
    out.push_back(std::move(usage));
  }
  return out;
}

}  // namespace knarr::runtime
