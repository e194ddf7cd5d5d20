// A pod on its node, from the moment it is assigned to the moment nothing of it is left. An
// explicit state machine; every step is idempotent and can be taken again after a restart of knarr.
//
//   state         what it waits for                          next
//   kVolumes      every volume is set up                      kSandbox, kStopping
//   kSandbox      the sandbox exists                          kNetwork, kSandbox (again), kStopping
//   kNetwork      it has its addresses                        kRunning, kSandbox (again), kStopping
//   kRunning      containers start, run, restart              kSandbox (sandbox died), kStopping
//   kStopping     every container has exited                  kTeardown
//   kTeardown     sandbox, network, volumes are gone          kDone
//   kDone         the object's deletion; then remove          kRemoving
//   kRemoving     containers and their logs are removed       kGone
//
// A rejected pod begins in kDone. A deletion moves every state before kStopping there.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/container_machine.h"
#include "agent/pod_recovery.h"
#include "agent/pod_resizer.h"
#include "agent/pod_status.h"
#include "agent/pod_stop.h"
#include "agent/services.h"

namespace knarr::agent {

class PodMachine : public std::enable_shared_from_this<PodMachine> {
 public:
  enum class State {
    kVolumes,
    kSandbox,
    kNetwork,
    kRunning,
    kStopping,
    kTeardown,
    kDone,
    kRemoving,
    kGone
  };

  // `gone` is called, last of all, when nothing of the pod is left on the node.
  PodMachine(PodServices& services, PodRef pod, std::function<void()> gone);

  void start(const Admission& admission, Recovered recovered);
  // The object changed. A uid never changes: that is another pod.
  void update(PodRef pod);
  // The object is no longer in the API: everything goes, at once.
  void forget();
  // By the agent's decision (eviction, deadline): phase Failed with this reason.
  void fail(const std::string& reason, const std::string& message);
  // The same with reason Evicted, the Disruption condition, and this time to stop.
  void evict(const std::string& message, int64_t grace_ms);

  // Pods can be attached to the network now.
  void network_came();
  // Other pods ask for less now.
  void room_changed() { resizer_.room_changed(); }

  void on_container_exit(const runtime::ContainerStatus& status);
  void on_sandbox_exit(const std::string& sandbox_id);

  State state() const { return state_; }
  // With the resources that this node has given it.
  const PodRef& pod() const { return pod_; }
  const std::string& sandbox_id() const { return sandbox_id_; }
  const std::vector<std::string>& pod_ips() const { return pod_ips_; }
  // The newest container of a name, or with previous the one before; nullptr when there is none.
  const runtime::ContainerStatus* container(std::string_view name, bool previous) const;

 private:
  void move(State to);
  void step();
  bool ends() const { return forgotten_ || pod_->deleting() || !failed_.ok(); }
  void retry(int64_t first_ms);
  void watch_deadline();
  bool wait_for_network();
  void set_up_volumes();
  void create_sandbox();
  void remove_sandbox_then_retry(const Error& error);
  void attach_network();
  void lose_sandbox();
  void recover_containers(const Recovered& recovered);
  void match_containers();
  std::unique_ptr<ContainerMachine> make_container(const std::string& name);
  void run_containers();
  void containers_changed();
  void resized();
  void tear_down();
  void torn_down();
  void done();
  void remove_everything();
  void publish();
  Observation observe() const;
  template <typename F>
  auto guarded(F fn);

  PodServices& services_;
  PodRef pod_;  // the resizer's
  std::function<void()> gone_;
  State state_ = State::kVolumes;
  bool busy_ = false;       // a step's answer is awaited
  bool forgotten_ = false;  // not in the API any more
  bool over_ = false;       // no container will run again
  Admission rejected_;
  Admission failed_;
  uint32_t sandbox_attempt_ = 0;
  std::string sandbox_id_;
  std::string netns_;
  bool sandbox_alive_ = false;
  std::vector<std::string> old_sandboxes_;
  std::vector<std::string> pod_ips_;
  std::vector<std::unique_ptr<ContainerMachine>> containers_;
  PodResizer resizer_;
  PodStop stop_;
  int64_t start_time_us_ = 0;
  int64_t retry_ms_ = 0;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Timer> deadline_timer_;  // of activeDeadlineSeconds
};

const char* state_name(PodMachine::State state);
bool may_move(PodMachine::State from, PodMachine::State to);

}  // namespace knarr::agent
