// What a pod asks for in sum, and how it is translated for the kernel.
#pragma once

#include "agent/pod.h"
#include "knarr/runtime.h"

namespace knarr::agent {

// Requests of the whole pod by resource name: the containers' sum, or an init container's where
// that is more; {} when there are none.
json::Value pod_requests(const Pod& pod);
// {"requests": ..., "limits": ...} of the whole pod; a limit only where every container has one.
json::Value pod_resources(const Pod& pod);

// "Guaranteed", "Burstable" or "BestEffort", as the API server wrote it.
std::string qos_class(const Pod& pod);

// "burstable/pod<uid>", below the kubepods group of the runtime: the kubelet's layout of cgroups.
std::string pod_cgroup(const Pod& pod);

// cgroup values of a container: shares from the request, quota from the limit, oom_score_adj from
// the QoS class and the share of the node's memory.
runtime::Resources container_resources(const Pod& pod, const json::Value& container,
                                       int64_t node_memory_bytes);

}  // namespace knarr::agent
