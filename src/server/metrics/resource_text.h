// Reads what a node says at /metrics/resource: the counters of its machine and of the containers of
// its pods. Forgiving: what is not understood is left out. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "knarr/object_key.h"

namespace knarr::server {

struct UsageCounter {
  std::optional<double> cpu_seconds;  // since it started
  int64_t cpu_ms = 0;                 // when that was read, since the epoch
  std::optional<int64_t> memory_bytes;
  double started_seconds = 0;  // since the epoch; 0: not known
};

struct NodeCounters {
  UsageCounter node;
  std::map<NamespacedName, std::map<std::string, UsageCounter>> pods;  // containers by name
};

NodeCounters parse_resource_metrics(std::string_view text);

}  // namespace knarr::server
