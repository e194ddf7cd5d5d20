// The downward API: what a container may learn of its own pod, through environment variables and
// volumes.
#pragma once

#include <string>
#include <string_view>

#include "agent/pod.h"

namespace knarr::agent {

struct NodeFacts {
  std::string name;
  std::string hostname;
  std::vector<std::string> host_ips;
  json::Value allocatable;  // {"cpu": "2", "memory": "..."}: limits that a container does not set
  int64_t memory_bytes = 0;
  std::string local_roots_path;  // the note of volumes/local_root.h
};

// A fieldRef path ("metadata.labels['app']", "status.podIP"). pod_ip is "" before there is one.
// Error kInvalid for a path that does not exist.
Result<std::string> field_value(const Pod& pod, std::string_view path, const NodeFacts& node,
                                const std::vector<std::string>& pod_ips);

// A resourceFieldRef; `own` is the container it stands in, used when it names none.
Result<std::string> resource_value(const Pod& pod, const json::Value& ref, const ContainerSpec* own,
                                   const NodeFacts& node);

// metadata.labels or annotations as a file: key="value" lines, sorted, values quoted.
std::string format_map(const json::Value& map);

}  // namespace knarr::agent
