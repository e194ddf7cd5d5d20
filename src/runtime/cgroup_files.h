// Which files of a cgroup say what: pure translations of Resources, testable without a kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "knarr/runtime.h"

namespace knarr::runtime {

struct CgroupWrite {
  std::string controller;  // v1: the hierarchy; v2: what must be enabled
  std::string file;
  std::string value;
  bool operator==(const CgroupWrite&) const = default;
};

// cgroup v1's cpu.shares (2..262144) as v2's cpu.weight (1..10000).
uint64_t cpu_weight(int64_t shares);

std::vector<CgroupWrite> v1_writes(const Resources& resources);
std::vector<CgroupWrite> v2_writes(const Resources& resources);

// A device a cgroup may use. -1: any number.
struct DeviceRule {
  char type = 'c';
  int64_t major_number = -1;
  int64_t minor_number = -1;
  std::string permissions = "rwm";
  std::string text() const;  // as in v1's devices.allow
};

// What every container may use, and the devices of its own. mknod is allowed for all (use is not).
std::vector<DeviceRule> device_rules(const std::vector<DeviceRule>& own);

// v2 asks a program instead of a list (BPF_PROG_TYPE_CGROUP_DEVICE): its instructions.
std::vector<uint64_t> device_program(const std::vector<DeviceRule>& rules);

// The value of `key` in lines of "key value"; 0 when absent.
uint64_t flat_value(const std::string& text, const std::string& key);

}  // namespace knarr::runtime
