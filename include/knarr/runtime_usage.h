// What a runtime says of what its pods and containers use.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace knarr::runtime {

// What processes have used since their cgroup was made, and what they use now. 0 also for what the
// kernel does not say.
struct Usage {
  int64_t timestamp_ns = 0;
  uint64_t cpu_usage_ns = 0;
  uint64_t cpu_user_ns = 0;
  uint64_t cpu_system_ns = 0;
  uint64_t cpu_periods = 0;  // those in which a limit was in force
  uint64_t cpu_throttled_periods = 0;
  uint64_t cpu_throttled_ns = 0;
  uint64_t memory_usage_bytes = 0;
  uint64_t memory_working_set_bytes = 0;
  uint64_t memory_rss_bytes = 0;
  uint64_t memory_cache_bytes = 0;
  uint64_t memory_mapped_file_bytes = 0;
  uint64_t memory_swap_bytes = 0;
  uint64_t memory_max_usage_bytes = 0;
  uint64_t memory_limit_bytes = 0;  // 0: none
  uint64_t memory_failures = 0;     // how often the limit was met
  uint64_t page_faults = 0;
  uint64_t major_page_faults = 0;
  uint64_t threads = 0;
};

struct InterfaceUsage {
  struct Direction {
    uint64_t bytes = 0;
    uint64_t packets = 0;
    uint64_t errors = 0;
    uint64_t dropped = 0;
  };
  std::string name;
  Direction rx, tx;
};

struct ContainerStats {
  std::string container_id;
  Usage usage;
  uint64_t rootfs_used_bytes = 0;
  uint64_t rootfs_inodes_used = 0;
};

struct SandboxUsage {
  std::string sandbox_id;
  Usage usage;                              // of its cgroup
  std::map<std::string, Usage> containers;  // those that run, by id
  std::vector<InterfaceUsage> interfaces;   // of its own network, without loopback
};

// Of everything that runs, without looking at any disk.
struct UsageReport {
  Usage all;                               // of all pods together
  std::vector<InterfaceUsage> interfaces;  // of the host's network, without loopback
  std::vector<SandboxUsage> sandboxes;
};

}  // namespace knarr::runtime
