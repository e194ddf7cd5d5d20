// The status of a pod, as a kubelet reports it: a pure function of the pod and of what the agent
// has seen. The words and rules are those of kubelet v1.36; ../golden's node- cases are its oracle.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "agent/pod_actions.h"
#include "knarr/runtime.h"

namespace knarr::agent {

// What is known of one container, in the order of Pod::containers().
struct ContainerRecord {
  std::optional<runtime::ContainerStatus> current;  // the newest container of this name
  std::optional<runtime::ContainerStatus> last;     // the one before, when it has exited
  int restart_count = 0;
  bool started = false;
  bool ready = false;
  bool killed = false;  // by the agent, to have it replaced
  // Shown as state.waiting instead of `current`; empty: as `current` says.
  std::string waiting_reason;
  std::string waiting_message;
  std::string exit_message;  // the termination message of `current`, once exited
  std::string last_message;  // of `last`
  json::Value resources;     // what it runs with, as a spec says it; null before the first start
};

// Why a change of resources is not there yet.
struct ResizeNote {
  std::string reason;
  std::string message;
  int64_t generation = 0;  // of the spec that wants it
  bool operator==(const ResizeNote&) const = default;
};

struct Observation {
  std::vector<ContainerRecord> containers;
  bool sandbox_ready = false;  // with its network
  bool rejected = false;       // never admitted: phase Failed and nothing else
  bool evicted = false;        // for want of something the node has too little of
  bool failed = false;         // by the agent (evicted, deadline): phase Failed whatever runs
  std::string reason;          // of the pod's status, with rejected or failed
  std::string message;
  bool over = false;  // decide() said finished and everything has stopped
  std::vector<std::string> host_ips;
  std::vector<std::string> pod_ips;
  int64_t start_time_us = 0;
  int64_t now_us = 0;
  std::string runtime_name;  // "containerd" of "containerd://<id>"
  std::optional<ResizeNote> resize_pending;
  std::optional<ResizeNote> resize_progress;
};

// Ready to be the "status" of the pod's object. What the agent does not own (qosClass,
// nominatedNodeName, foreign conditions) is kept from pod.status(); a condition's
// lastTransitionTime moves only when its status does.
json::Value make_status(const Pod& pod, const Observation& seen);

ContainerFacts facts_of(const ContainerSpec& spec, const ContainerRecord& record);
std::vector<ContainerFacts> facts_of(const Pod& pod, const std::vector<ContainerRecord>& records);

// Of a pod's addresses what its status has: the first of the node's own family, then the first of
// the other one. A network may give more.
std::vector<std::string> shown_ips(const std::vector<std::string>& all,
                                   const std::vector<std::string>& host_ips);

}  // namespace knarr::agent
