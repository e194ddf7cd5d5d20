#include "agent/pod_actions.h"

namespace knarr::agent {

namespace {

bool main_ever_ran(const std::vector<ContainerFacts>& containers) {
  for (const ContainerFacts& c : containers) {
    if (c.kind == ContainerKind::kMain && c.state != RunState::kNone) return true;
  }
  return false;
}

// Walks the init containers in order; true when the main containers may start.
bool initialize(const std::vector<ContainerFacts>& containers, Actions& actions) {
  for (size_t i = 0; i < containers.size() && is_init(containers[i].kind); i++) {
    const ContainerFacts& c = containers[i];
    bool sidecar = c.kind == ContainerKind::kSidecar;
    bool succeeded = c.exit_code == 0 && !c.killed && !c.rule_restarts;
    if (c.state == RunState::kExited && !sidecar && succeeded) continue;
    if (c.state == RunState::kExited && !restarts(c)) {
      actions.finished = true;
      return false;
    }
    if (c.state != RunState::kRunning) actions.start.push_back(i);
    if (!sidecar || !c.started) return false;
  }
  return true;
}

void keep_sidecars(const std::vector<ContainerFacts>& containers, Actions& actions) {
  for (size_t i = 0; i < containers.size(); i++) {
    const ContainerFacts& c = containers[i];
    if (c.kind == ContainerKind::kSidecar && c.state != RunState::kRunning) {
      actions.start.push_back(i);
    }
  }
}

}  // namespace

bool restarts(const ContainerFacts& c) {
  if (c.rule_restarts) return true;
  switch (c.restart_policy) {
    case RestartPolicy::kAlways: return true;
    case RestartPolicy::kOnFailure: return c.exit_code != 0 || c.killed;
    case RestartPolicy::kNever: return false;
  }
  return false;
}

namespace {

Actions decide_lasting(const std::vector<ContainerFacts>& containers) {
  Actions actions;
  if (main_ever_ran(containers)) {
    actions.initialized = true;
  } else {
    actions.initialized = initialize(containers, actions);
    if (!actions.initialized) return actions;
    actions.start.clear();
  }

  bool over = true;
  for (size_t i = 0; i < containers.size(); i++) {
    const ContainerFacts& c = containers[i];
    if (c.kind != ContainerKind::kMain) continue;
    bool again = c.state == RunState::kNone || (c.state == RunState::kExited && restarts(c));
    if (again) actions.start.push_back(i);
    if (again || c.state == RunState::kRunning) over = false;
  }
  actions.finished = over;
  if (!over) keep_sidecars(containers, actions);
  return actions;
}

}  // namespace

// An ephemeral container waits for no other, and nothing waits for it.
Actions decide(const std::vector<ContainerFacts>& containers) {
  Actions actions = decide_lasting(containers);
  if (actions.finished) return actions;
  for (size_t i = 0; i < containers.size(); i++) {
    const ContainerFacts& c = containers[i];
    if (c.kind != ContainerKind::kEphemeral || c.state != RunState::kNone) continue;
    actions.start.insert(actions.start.begin(), i);
  }
  return actions;
}

}  // namespace knarr::agent
