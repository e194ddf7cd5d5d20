// What is left of a pod when knarr starts anew: what the runtime still has, or, after a reboot,
// what the API remembers. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/pod.h"
#include "knarr/runtime.h"

namespace knarr::agent {

struct Recovered {
  std::vector<runtime::SandboxStatus> sandboxes;     // newest first
  std::vector<runtime::ContainerStatus> containers;  // of any of them
};

struct Remains {
  std::vector<runtime::ContainerStatus> newest_first;
  int restart_count = -1;  // where the API alone knows of it; -1: there was none
  // What the API was told of the newest one: it stays so until its probes say otherwise.
  bool started = false;
  bool ready = false;
};

// An ephemeral container that the API has seen counts as one that has ended: it must not run again.
Remains remains_of(const Pod& pod, const ContainerSpec& container, const Recovered& recovered,
                   int64_t now_us);

}  // namespace knarr::agent
