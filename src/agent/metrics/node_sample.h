// What a node and its pods use at one moment, as everything that tells of it sees it: the summary,
// and the metrics in text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "agent/services.h"
#include "knarr/runtime.h"

namespace knarr::agent {

struct DiskUse {
  uint64_t capacity_bytes = 0;
  uint64_t available_bytes = 0;
  uint64_t used_bytes = 0;
  uint64_t inodes = 0;
  uint64_t inodes_free = 0;
  uint64_t inodes_used = 0;
};

struct Measured {
  runtime::Usage usage;
  std::optional<uint64_t> nano_cores;  // since it was last looked at, if that was lately
};

struct ContainerSample {
  std::string name;
  runtime::ContainerStatus status;
  Measured measured;
  std::optional<DiskUse> rootfs, logs;
};

struct VolumeSample {
  std::string name;
  std::string claim;  // of a claim: its name
  std::string path;
  std::optional<DiskUse> disk;
};

struct PodSample {
  PodRef pod;
  std::string sandbox_id;
  Measured measured;
  std::vector<runtime::InterfaceUsage> interfaces;
  std::vector<ContainerSample> containers;  // those that run
  std::vector<VolumeSample> volumes;        // but paths of the host
};

struct MachineSample {
  int64_t boot_us = 0;
  Measured machine;
  uint64_t memory_bytes = 0;  // that the machine has
  uint64_t swap_free_bytes = 0;
  int cpus = 0;
  int64_t max_pid = 0;
};

struct NodeSample : MachineSample {
  std::string node;
  int64_t now_us = 0;
  bool failed = false;    // what runs could not be measured
  bool complete = false;  // the machine was, in time; disks may be missing all the same
  std::vector<runtime::InterfaceUsage> interfaces;
  Measured all_pods;
  std::optional<DiskUse> disk, images;
  std::vector<PodSample> pods;
  std::map<std::string, int64_t> container_states;  // "running", "exited", "created"
  std::vector<ProbeCount> probes;
};

}  // namespace knarr::agent
