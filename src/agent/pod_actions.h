// Which containers of a pod should start now, and whether the pod is over: the kubelet's rules of
// init containers, sidecars and restart policies, as one pure function of what is there.
#pragma once

#include <cstddef>
#include <vector>

#include "agent/pod.h"

namespace knarr::agent {

enum class RunState {
  kNone,     // never made in this sandbox
  kRunning,  // made or running
  kExited,
};

// Of the newest container of a name, in the order of Pod::containers().
struct ContainerFacts {
  ContainerKind kind = ContainerKind::kMain;
  RestartPolicy restart_policy = RestartPolicy::kAlways;
  RunState state = RunState::kNone;
  int exit_code = 0;
  bool started = false;        // running, and its startup probe (if any) passed
  bool killed = false;         // the agent itself stopped it to have it replaced (a probe failed)
  bool rule_restarts = false;  // one of its restartPolicyRules wants it back after this exit
};

struct Actions {
  std::vector<size_t> start;
  bool initialized = false;  // every init container is done, every sidecar started
  bool finished = false;     // no container will run again: sidecars are to be stopped
};

Actions decide(const std::vector<ContainerFacts>& containers);

// Whether an exited container runs again.
bool restarts(const ContainerFacts& container);

}  // namespace knarr::agent
