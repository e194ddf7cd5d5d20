// The end of a pod: its containers within one grace period, then what was made for them. Main
// containers and ephemeral ones get their signal first; sidecars, last to first, when none of those
// runs. All preStop hooks begin at once (KEP-753).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/container_machine.h"
#include "agent/services.h"

namespace knarr::agent {

class PodStop {
 public:
  using Containers = std::vector<std::unique_ptr<ContainerMachine>>;

  PodStop(PodServices& services, const Containers& containers)
      : services_(services), containers_(containers) {}

  // No more time than this, whatever the pod says.
  void limit(int64_t grace_ms) { most_grace_ms_ = grace_ms; }
  bool limited() const { return most_grace_ms_ >= 0; }
  // Takes what can be taken of the next steps; called again whenever a container has changed. The
  // time runs from the first call, and can only become shorter.
  void go_on(const PodRef& pod, int64_t grace_ms);
  bool all_stopped() const;

 private:
  bool all_stopped_but_sidecars(const Pod& pod) const;

  PodServices& services_;
  const Containers& containers_;
  int64_t deadline_ms_ = INT64_MAX;  // monotonic
  int64_t most_grace_ms_ = -1;
};

// Stops the sandbox, frees its network, then the volumes. What fails is logged, and the rest done.
void tear_down(PodServices& services, const PodRef& pod, const std::string& sandbox_id,
               std::function<void()> done);
// With their containers. Never done from within the call.
void remove_sandboxes(PodServices& services, const PodRef& pod, const std::vector<std::string>& ids,
                      std::function<void()> done);

}  // namespace knarr::agent
