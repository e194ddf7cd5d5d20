#include "agent/pod_actions.h"

#include <catch2/catch.hpp>

using namespace knarr::agent;

namespace {

ContainerFacts init(RunState state, int exit_code = 0) {
  return {ContainerKind::kInit, RestartPolicy::kOnFailure, state, exit_code, false, false};
}
ContainerFacts sidecar(RunState state, bool started) {
  return {ContainerKind::kSidecar, RestartPolicy::kAlways, state, 0, started, false};
}
ContainerFacts main_of(RestartPolicy policy, RunState state, int exit_code = 0) {
  return {ContainerKind::kMain, policy, state, exit_code, state == RunState::kRunning, false};
}

void check(const std::vector<ContainerFacts>& containers, std::vector<size_t> start,
           bool initialized, bool finished) {
  Actions actions = decide(containers);
  CHECK(actions.start == start);
  CHECK(actions.initialized == initialized);
  CHECK(actions.finished == finished);
}

constexpr auto kNone = RunState::kNone;
constexpr auto kRunning = RunState::kRunning;
constexpr auto kExited = RunState::kExited;
constexpr auto kAlways = RestartPolicy::kAlways;
constexpr auto kOnFailure = RestartPolicy::kOnFailure;
constexpr auto kNever = RestartPolicy::kNever;

}  // namespace

TEST_CASE("main containers start together and restart by policy") {
  check({main_of(kAlways, kNone), main_of(kAlways, kNone)}, {0, 1}, true, false);
  check({main_of(kAlways, kRunning), main_of(kAlways, kExited)}, {1}, true, false);
  check({main_of(kOnFailure, kExited, 1)}, {0}, true, false);
  check({main_of(kOnFailure, kExited, 0)}, {}, true, true);
  check({main_of(kNever, kExited, 1)}, {}, true, true);
  check({main_of(kNever, kExited), main_of(kNever, kRunning)}, {}, true, false);
}

TEST_CASE("init containers run one after the other") {
  ContainerFacts later = main_of(kAlways, kNone);
  check({init(kNone), init(kNone), later}, {0}, false, false);
  check({init(kRunning), init(kNone), later}, {}, false, false);
  check({init(kExited), init(kNone), later}, {1}, false, false);
  check({init(kExited), init(kExited), later}, {2}, true, false);
  check({init(kExited, 1), init(kNone), later}, {0}, false, false);
}

TEST_CASE("a failed init container ends a pod that never restarts") {
  ContainerFacts failed = init(kExited, 4);
  failed.restart_policy = kNever;
  check({failed, main_of(kNever, kNone)}, {}, false, true);
}

TEST_CASE("once main containers ran, init containers are not looked at again") {
  check({init(kNone), main_of(kAlways, kRunning)}, {}, true, false);
}

TEST_CASE("a sidecar holds the next until it has started, and is kept") {
  ContainerFacts later = main_of(kAlways, kNone);
  check({sidecar(kNone, false), init(kNone), later}, {0}, false, false);
  check({sidecar(kRunning, false), init(kNone), later}, {}, false, false);
  check({sidecar(kRunning, true), init(kNone), later}, {1}, false, false);
  check({sidecar(kExited, false), main_of(kAlways, kRunning)}, {0}, true, false);
  check({sidecar(kExited, false), main_of(kNever, kExited)}, {}, true, true);
}

TEST_CASE("a container that the agent killed counts as failed") {
  ContainerFacts killed = main_of(kOnFailure, kExited, 0);
  killed.killed = true;
  check({killed}, {0}, true, false);
}
