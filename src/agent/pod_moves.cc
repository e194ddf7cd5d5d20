// The moves of a pod machine: pod_machine.h says what each state waits for.
#include <algorithm>
#include <iterator>

#include "agent/pod_machine.h"

namespace knarr::agent {

namespace {

using State = PodMachine::State;

struct Move {
  State from, to;
};
constexpr Move kMoves[] = {
    {State::kVolumes, State::kSandbox},  {State::kSandbox, State::kNetwork},
    {State::kNetwork, State::kRunning},  {State::kNetwork, State::kSandbox},
    {State::kRunning, State::kSandbox},  {State::kVolumes, State::kStopping},
    {State::kSandbox, State::kStopping}, {State::kNetwork, State::kStopping},
    {State::kRunning, State::kStopping}, {State::kStopping, State::kTeardown},
    {State::kTeardown, State::kDone},    {State::kVolumes, State::kDone},
    {State::kDone, State::kRemoving},    {State::kRemoving, State::kGone},
};

}  // namespace

const char* state_name(State state) {
  static constexpr const char* kNames[] = {"volumes",  "sandbox", "network",  "running", "stopping",
                                           "teardown", "done",    "removing", "gone"};
  return kNames[static_cast<size_t>(state)];
}

bool may_move(PodMachine::State from, PodMachine::State to) {
  return std::any_of(std::begin(kMoves), std::end(kMoves),
                     [&](const Move& m) { return m.from == from && m.to == to; });
}

}  // namespace knarr::agent
