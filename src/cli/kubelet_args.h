// --kubelet-arg KEY=VALUE: settings of the node under their names in the kubelet, as k3s passes
// them on. Those that mean something here; others are refused.
#pragma once

#include <string>
#include <vector>

#include "agent/eviction.h"
#include "knarr/result.h"

namespace knarr::cli {

struct KubeletSettings {
  agent::EvictionSettings eviction;
  int64_t max_pods = 110;
  int64_t log_max_bytes = 10 << 20;  // of one file of a container's log
  int64_t log_max_files = 5;
};

Result<KubeletSettings> read_kubelet_args(const std::vector<std::string>& args);

}  // namespace knarr::cli
