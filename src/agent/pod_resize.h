// Resources of a running pod that change in place: what its spec wants against what the node has
// given it (its allocation), and the values on the way from one to the other. Pure. KEP-1287.
#pragma once

#include <map>
#include <string>

#include "agent/pod.h"
#include "knarr/runtime.h"

namespace knarr::agent {

struct Allocation {
  json::Value pod;                                // spec.resources
  std::map<std::string, json::Value> containers;  // of sidecars and main containers, by name
  bool operator==(const Allocation&) const = default;
};

Allocation allocation_of(const Pod& pod);
// As the pod's status tells it, for a pod that was here before knarr started; its spec's where the
// status says nothing.
Allocation told_allocation(const Pod& pod);
// The pod as if its spec wanted just that; the same pod when it does.
PodRef with_allocation(const PodRef& pod, const Allocation& allocation);

// A container's resources; {} when it names none.
json::Value resources_of(const ContainerSpec& container);
// Whether its resizePolicy wants it started anew for a change of what differs.
bool resize_restarts(const ContainerSpec& container, const json::Value& before,
                     const json::Value& after);

// Limits under which both fit: what a group above containers has while they change.
runtime::Resources both(const runtime::Resources& a, const runtime::Resources& b);
// `after`, with limits that `before` had and it has not as -1.
runtime::Resources lifting(const runtime::Resources& before, runtime::Resources after);

// "{"containers":[{"name":..,"resources":..}],"generation":2}", as the events of a resize show it.
std::string resize_summary(const Pod& pod, const std::string& error);

}  // namespace knarr::agent
