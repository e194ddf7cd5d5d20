// What this machine is, read once at start from /proc, /sys and /etc.
#pragma once

#include <cstdint>
#include <string>

namespace knarr::agent {

struct MachineFacts {
  std::string hostname;
  int cpus = 1;
  int64_t memory_bytes = 0;
  int64_t disk_bytes = 0;  // of the file system the data folder is on
  std::string machine_id, system_uuid, boot_id;
  std::string kernel, os_image, architecture;  // "amd64"
};

MachineFacts read_machine_facts(const std::string& data_dir);

// The address of the interface that the default route leaves through, else any that is not
// loopback, else 127.0.0.1. IPv4 where there is any.
std::string default_address();
std::string default_address(bool v6);  // of that family; empty when there is none

}  // namespace knarr::agent
