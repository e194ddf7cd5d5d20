// One container of a pod on its way: image, configuration, creation, start, hooks, probes, exit,
// back-off, start again. The pod machine says when to start and stop; this says what became of it.
//
//   kIdle -> kPulling -> kConfiguring -> kCreating -> kStarting -> kHook -> kRunning -> kStopping
//     any step back to kIdle when it fails or the container has exited; a start after that begins
//     with the next attempt.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/backoff.h"
#include "agent/container_stop.h"
#include "agent/epoch.h"
#include "agent/pod_recovery.h"
#include "agent/pod_status.h"
#include "agent/services.h"

namespace knarr::agent {

class ContainerMachine {
 public:
  enum class State {
    kIdle,
    kPulling,
    kConfiguring,
    kCreating,
    kStarting,
    kHook,
    kRunning,
    kStopping
  };

  // The id of the pod's newest container of a name; empty when none was made.
  using IdOf = std::function<std::string(const std::string& name)>;
  // For the container of this name. `changed` is called after every change of record() or state();
  // never from within start or stop.
  ContainerMachine(PodServices& services, std::string name, IdOf id_of,
                   std::function<void()> changed);

  const std::string& name() const { return name_; }

  State state() const { return state_; }
  const ContainerRecord& record() const { return record_; }
  bool running() const { return state_ == State::kRunning || state_ == State::kHook; }
  // A step is under way whose answer will come.
  bool busy() const { return state_ != State::kIdle && state_ != State::kRunning; }

  // Between image and running: milliseconds, and nothing to show of them.
  bool starting() const {
    return state_ == State::kConfiguring || state_ == State::kCreating ||
           state_ == State::kStarting;
  }

  // What was found after a restart of knarr; not nothing.
  void recover(const PodRef& pod, const std::string& sandbox_id,
               const std::vector<std::string>& pod_ips, Remains remains);
  // What the API remembers when the runtime does not (a reboot).
  void recover_count(int restart_count);

  // Does nothing while it runs, is busy, or has to wait (then `changed` comes when the wait is
  // over).
  void start(const PodRef& pod, const std::string& sandbox_id,
             const std::vector<std::string>& pod_ips);
  // With the preStop hook, then the stop signal, then SIGKILL at the deadline (monotonic). `why` is
  // the Killing event's message. Called again while it stops, it can only shorten the time. What is
  // not created yet will not be. With hold the signal comes when release() is called, and the hook
  // is over.
  void stop(const PodRef& pod, int64_t deadline_ms, const std::string& why, bool hold = false);
  void release() { stop_.release(); }
  // Stopped to be started anew.
  void restart(const PodRef& pod, const std::string& why);
  // The container of this id runs with these now, for this pod's spec. Does nothing when it does
  // not run any more.
  void resized(const PodRef& pod, const std::string& id, const runtime::Resources& resources);
  void on_exit(const runtime::ContainerStatus& status);
  // Nothing is left of it that could end: as if it had been killed.
  void gone();
  // The sandbox died with everything in it: the record stays, the container is gone.
  void sandbox_lost();
  // The pod goes away: no step goes on, no probe runs.
  void abandon();

 private:
  // Why a start did not succeed: what the container shows while it waits for the next.
  struct Failure {
    std::string reason;
    std::string message;
  };
  const ContainerSpec& spec() const { return *pod_->container(name_); }
  int64_t deadline_ms(int64_t grace_ms) const { return services_.clock.monotonic_ms() + grace_ms; }
  void move(State to);
  void wait(const std::string& reason, const std::string& message, int64_t retry_ms);
  void pulled(ImagePuller::Outcome outcome);
  void configured(Result<runtime::ContainerConfig> config);
  void created(Result<std::string> id);
  void started(Result<runtime::ContainerStatus> status);
  void start_failed(const std::string& message);
  void run_post_start();
  void now_running(bool was_started = false, bool was_ready = false);
  void start_probes();
  void verdict(ProbeKind kind, bool passed, const std::string& message);
  void exited(const runtime::ContainerStatus& status);
  void back_off();
  void remove_older();
  Prober::Target target() const;
  // Wraps a callback so that it does nothing once this step is no longer the current one.

  PodServices& services_;
  std::string name_;
  IdOf id_of_;
  std::function<void()> changed_;
  PodRef pod_;
  std::string sandbox_id_;
  std::vector<std::string> pod_ips_;
  std::string image_id_;  // of the newest attempt
  State state_ = State::kIdle;
  ContainerRecord record_;
  std::vector<std::string> older_ids_;                  // dead containers to remove
  std::optional<runtime::ContainerStatus> early_exit_;  // told before start_container answered
  int next_attempt_ = 0;
  Backoff backoff_;
  int64_t may_start_ms_ = 0;
  Failure failure_;                     // until the container has exited
  ContainerStop stop_;                  // in kStopping
  std::unique_ptr<Timer> timer_;        // the end of a wait
  std::unique_ptr<Timer> shown_timer_;  // when CrashLoopBackOff is shown
  Epoch epoch_;
};

}  // namespace knarr::agent
