// Whether this node takes a pod that was assigned to it: the kubelet's admission, the last look
// before anything is made. Pure.
#pragma once

#include <vector>

#include "agent/services.h"

namespace knarr::agent {

struct NodeRoom {
  json::Value allocatable;   // {"cpu": "2", "memory": "...", "pods": "110"}
  json::Value labels;        // of the node
  std::vector<PodRef> pods;  // that are admitted and not finished
};

Admission admit(const Pod& pod, const NodeRoom& room);
// Of a pod that is here, and asks for other resources now: "Infeasible" when this node never has
// them, "Deferred" when not beside the pods that are there.
Admission admit_resize(const Pod& pod, const NodeRoom& room);

}  // namespace knarr::agent
