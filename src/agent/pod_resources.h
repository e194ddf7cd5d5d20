// What a pod asks for in sum, and how it is translated for the kernel.
#pragma once

#include "agent/pod.h"
#include "knarr/runtime.h"

namespace knarr::agent {

// Requests of the whole pod by resource name: the containers' sum, or an init container's where
// that is more, or what the pod itself asks for (spec.resources), and its overhead; {} when there
// are none.
json::Value pod_requests(const Pod& pod);
// {"requests": ..., "limits": ...} of the whole pod; a limit only where every container has one, or
// the pod itself.
json::Value pod_resources(const Pod& pod);

// "Guaranteed", "Burstable" or "BestEffort", as the API server wrote it.
std::string qos_class(const Pod& pod);

// "burstable/pod<uid>", below the kubepods group of the runtime: the kubelet's layout of cgroups.
std::string pod_cgroup(const Pod& pod);

// cgroup values of the pod's own group: the sum of its containers, a limit only where all have one.
runtime::Resources pod_group_resources(const Pod& pod);

// cgroup values of a container: shares from the request, quota from the limit, oom_score_adj from
// the QoS class and the share of the node's memory.
runtime::Resources container_resources(const Pod& pod, const ContainerSpec& container,
                                       int64_t node_memory_bytes);

// cgroup v1's cpu.shares for a number of thousandths of a processor.
int64_t cpu_shares(int64_t milli);

}  // namespace knarr::agent
