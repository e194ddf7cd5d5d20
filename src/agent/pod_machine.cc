#include "agent/pod_machine.h"

#include <algorithm>
#include <utility>

#include "base/time.h"
#include "knarr/check.h"

namespace knarr::agent {

namespace {

using State = PodMachine::State;

constexpr int64_t kFirstRetryMs = 500;
constexpr int64_t kMostRetryMs = 122 * 1000;

bool before_stopping(State s) {
  return s == State::kVolumes || s == State::kSandbox || s == State::kNetwork ||
         s == State::kRunning;
}

}  // namespace

PodMachine::PodMachine(PodServices& services, PodRef pod, std::function<void()> gone)
    : services_(services),
      pod_(std::move(pod)),
      gone_(std::move(gone)),
      resizer_(services, containers_, [this] { resized(); }),
      stop_(services, containers_) {
  match_containers();
}

// The answer of a step may come when the machine is gone.
template <typename F>
auto PodMachine::guarded(F fn) {
  return [weak = weak_from_this(), fn](auto&&... args) {
    if (auto self = weak.lock()) fn(*self, std::forward<decltype(args)>(args)...);
  };
}

void PodMachine::move(State to) {
  CHECK(may_move(state_, to));
  state_ = to;
  retry_ms_ = 0;
  timer_.reset();
}

void PodMachine::start(const Admission& admission, Recovered recovered) {
  PodRef wanted = pod_;
  resizer_.begin(wanted);
  pod_ = resizer_.pod();
  auto at = base::parse_time(pod_->status()["startTime"].as_string());
  start_time_us_ = at.ok() ? *at : services_.clock.now_us();
  for (const runtime::SandboxStatus& s : recovered.sandboxes) {
    sandbox_attempt_ = std::max(sandbox_attempt_, s.config.attempt + 1);
    if (s.ready && !sandbox_alive_) {
      sandbox_id_ = s.id;
      netns_ = s.netns;
      sandbox_alive_ = true;
    } else {
      old_sandboxes_.push_back(s.id);
    }
  }
  recover_containers(recovered);
  resizer_.update(wanted);
  pod_ = resizer_.pod();
  if (!admission.ok() && recovered.sandboxes.empty()) {
    rejected_ = admission;
    services_.events.warning(*pod_, "", admission.reason, admission.message);
    move(State::kDone);
    publish();
  } else if (pod_->finished()) {
    over_ = true;
    move(State::kStopping);
  }
  watch_deadline();
  step();
}

// Their probes begin before the network is looked at: it gives the same addresses again.
void PodMachine::recover_containers(const Recovered& recovered) {
  std::vector<std::string> ips;
  for (const json::Value& ip : pod_->status()["podIPs"].elements()) ips.push_back(ip["ip"].text());
  for (const auto& c : containers_) {
    Remains remains =
        remains_of(*pod_, *pod_->container(c->name()), recovered, services_.clock.now_us());
    if (remains.newest_first.empty()) {
      if (remains.restart_count >= 0) c->recover_count(remains.restart_count);
      continue;
    }
    c->recover(pod_, sandbox_id_, ips, std::move(remains));
    if (!sandbox_alive_ && !pod_->finished()) c->sandbox_lost();
  }
}

// A machine for each container of the pod, in its order: those of ephemeral ones come later.
void PodMachine::match_containers() {
  std::vector<std::unique_ptr<ContainerMachine>> before = std::exchange(containers_, {});
  for (const ContainerSpec& spec : pod_->containers()) {
    auto found = std::find_if(before.begin(), before.end(),
                              [&](const auto& c) { return c && c->name() == spec.name; });
    containers_.push_back(found != before.end() ? std::move(*found) : make_container(spec.name));
  }
}

std::unique_ptr<ContainerMachine> PodMachine::make_container(const std::string& name) {
  auto id_of = [this](const std::string& other) {
    const runtime::ContainerStatus* status = container(other, false);
    return status == nullptr ? std::string() : status->id;
  };
  return std::make_unique<ContainerMachine>(services_, name, id_of,
                                            [this] { containers_changed(); });
}

void PodMachine::update(PodRef pod) {
  CHECK(pod->uid() == pod_->uid());
  resizer_.update(pod);
  pod_ = resizer_.pod();
  match_containers();
  services_.volumes.update(pod_);
  watch_deadline();
  step();
}

// How long a pod may be active counts from its startTime, across restarts of knarr. It may be set,
// and shortened, while the pod runs.
void PodMachine::watch_deadline() {
  const json::Value& seconds = pod_->spec()["activeDeadlineSeconds"];
  if (seconds.is_null() || !before_stopping(state_)) return deadline_timer_.reset();
  int64_t left_us = start_time_us_ + seconds.as_int() * 1000000 - services_.clock.now_us();
  deadline_timer_ = services_.clock.timer([this] {
    const char* message = "Pod was active on the node longer than the specified deadline";
    services_.events.normal(*pod_, "", "DeadlineExceeded", message);
    fail("DeadlineExceeded", message);
  });
  deadline_timer_->start(std::max<int64_t>(left_us / 1000, 0));
}

void PodMachine::forget() {
  forgotten_ = true;
  step();
}

void PodMachine::fail(const std::string& reason, const std::string& message) {
  if (!failed_.ok() || !before_stopping(state_)) return;
  failed_ = {reason, message};
  step();
}

void PodMachine::evict(const std::string& message, int64_t grace_ms) {
  if (!failed_.ok() || !before_stopping(state_)) return;
  stop_.limit(grace_ms);
  services_.events.warning(*pod_, "", "Evicted", message);
  fail("Evicted", message);
}

// Takes the next step, unless the last one is still under way.
void PodMachine::step() {
  if (busy_) {
    if (ends() && state_ == State::kRunning) move(State::kStopping);
    return;
  }
  if (ends() && before_stopping(state_)) move(State::kStopping);
  switch (state_) {
    case State::kVolumes: set_up_volumes(); break;
    case State::kSandbox: create_sandbox(); break;
    case State::kNetwork: attach_network(); break;
    case State::kRunning: run_containers(); break;
    case State::kStopping:
      stop_.go_on(pod_, forgotten_ ? 0 : pod_->grace_seconds() * 1000);
      if (stop_.all_stopped()) {
        move(State::kTeardown);
        tear_down();
      }
      break;
    case State::kTeardown: break;
    case State::kDone: done(); break;
    case State::kRemoving:
    case State::kGone: break;
  }
}

void PodMachine::retry(int64_t first_ms) {
  if (ends()) return step();
  retry_ms_ = retry_ms_ == 0 ? first_ms : std::min(retry_ms_ * 2, kMostRetryMs);
  timer_ = services_.clock.timer([this] { step(); });
  timer_->start(retry_ms_);
}

void PodMachine::network_came() {
  if (state_ == State::kVolumes || state_ == State::kSandbox) step();
}

// A pod that needs a network of its own begins nothing while there is none to have.
bool PodMachine::wait_for_network() {
  if (sandbox_alive_ || pod_->host_network()) return false;
  std::string problem = services_.network.not_ready();
  if (problem.empty()) return false;
  services_.events.warning(*pod_, "", "NetworkNotReady", "network is not ready: " + problem);
  retry(kFirstRetryMs);
  return true;
}

void PodMachine::set_up_volumes() {
  publish();
  if (wait_for_network()) return;
  busy_ = true;
  services_.volumes.set_up(pod_, guarded([](PodMachine& self, const Result<void>& result) {
                             self.busy_ = false;
                             if (!result.ok()) {
                               self.services_.events.warning(*self.pod_, "", "FailedMount",
                                                             result.error().message);
                               self.retry(kFirstRetryMs);
                               return;
                             }
                             self.move(State::kSandbox);
                             self.step();
                           }));
}

void PodMachine::create_sandbox() {
  if (sandbox_alive_) {  // recovered
    move(State::kNetwork);
    step();
    return;
  }
  if (wait_for_network()) return;
  auto config = services_.configurer.sandbox(*pod_, sandbox_attempt_++);
  if (!config.ok()) {
    remove_sandbox_then_retry(config.error());
    return;
  }
  busy_ = true;
  services_.runtime.create_sandbox(
      *std::move(config), guarded([](PodMachine& self, Result<runtime::SandboxStatus> result) {
        self.busy_ = false;
        if (!result.ok()) {
          self.remove_sandbox_then_retry(result.error());
          return;
        }
        self.sandbox_id_ = result->id;
        self.netns_ = result->netns;
        self.sandbox_alive_ = true;
        self.resizer_.group_made();
        self.move(State::kNetwork);
        self.step();
      }));
}

void PodMachine::remove_sandbox_then_retry(const Error& error) {
  services_.events.warning(*pod_, "", "FailedCreatePodSandBox",
                           "Failed to create pod sandbox: " + error.message);
  if (!sandbox_id_.empty()) {
    services_.network.detach(sandbox_id_, [&services = services_, id = sandbox_id_](const auto&) {
      services.runtime.remove_sandbox(id, [](const Result<void>&) {});
    });
    sandbox_id_.clear();
    sandbox_alive_ = false;
  }
  int64_t delay_ms = retry_ms_;
  if (state_ == State::kNetwork) move(State::kSandbox);
  retry_ms_ = delay_ms;
  retry(kFirstRetryMs);
}

void PodMachine::attach_network() {
  if (pod_->host_network()) {
    pod_ips_ = services_.host_ips;
    move(State::kRunning);
    step();
    return;
  }
  busy_ = true;
  services_.network.attach(pod_, sandbox_id_, netns_,
                           guarded([](PodMachine& self, Result<std::vector<std::string>> result) {
                             self.busy_ = false;
                             if (!result.ok()) {
                               Error error = result.error();
                               error.message =
                                   "rpc error: code = Unknown desc = failed to setup "
                                   "network for sandbox \"" +
                                   self.sandbox_id_ + "\": " + error.message;
                               self.remove_sandbox_then_retry(error);
                               return;
                             }
                             if (self.sandbox_alive_) {
                               self.pod_ips_ = shown_ips(*result, self.services_.host_ips);
                               self.move(State::kRunning);
                             } else {
                               self.lose_sandbox();
                               self.move(State::kSandbox);
                             }
                             self.step();
                           }));
}

void PodMachine::run_containers() {
  Actions actions = decide(facts_of(*pod_, observe().containers));
  if (actions.finished) {
    over_ = true;
    move(State::kStopping);
    step();
    return;
  }
  for (size_t i : actions.start) containers_[i]->start(pod_, sandbox_id_, pod_ips_);
  resizer_.apply();
  publish();
}

void PodMachine::resized() {
  pod_ = resizer_.pod();
  services_.volumes.update(pod_);
  if (state_ == State::kRunning) {
    step();
  } else if (before_stopping(state_)) {
    publish();
  }
}

void PodMachine::containers_changed() {
  publish();
  // Not from within the container's own call: it may be in the middle of a move.
  services_.clock.defer(guarded([](PodMachine& self) { self.step(); }));
}

void PodMachine::tear_down() {
  over_ = true;
  busy_ = true;
  for (const auto& c : containers_) c->abandon();
  agent::tear_down(services_, pod_, sandbox_id_,
                   guarded([](PodMachine& self) { self.torn_down(); }));
}

void PodMachine::torn_down() {
  busy_ = false;
  sandbox_alive_ = false;
  move(State::kDone);
  publish();
  services_.room.room_changed();
  step();
}

// Finished: the containers stay, for their logs, until the object is deleted.
void PodMachine::done() {
  if (pod_->deleting() && !forgotten_) services_.statuses.finish(pod_);
  if (!forgotten_) return;
  move(State::kRemoving);
  remove_everything();
}

void PodMachine::remove_everything() {
  if (!sandbox_id_.empty()) old_sandboxes_.push_back(sandbox_id_);
  services_.images.forget(pod_->uid());
  remove_sandboxes(services_, pod_, old_sandboxes_, guarded([](PodMachine& self) {
                     self.move(State::kGone);
                     auto gone = self.gone_;
                     gone();
                   }));
}

void PodMachine::on_container_exit(const runtime::ContainerStatus& status) {
  for (const auto& c : containers_) c->on_exit(status);
}

void PodMachine::on_sandbox_exit(const std::string& sandbox_id) {
  if (sandbox_id != sandbox_id_ || !sandbox_alive_) return;
  sandbox_alive_ = false;
  if (state_ == State::kStopping) {
    for (const auto& c : containers_) c->gone();
    return;
  }
  if (!before_stopping(state_)) return;  // stopped by us
  for (const auto& c : containers_) c->sandbox_lost();
  if (state_ == State::kNetwork) return;  // the answer to the attachment goes on
  if (state_ == State::kRunning) {
    services_.events.normal(*pod_, "", "SandboxChanged",
                            "Pod sandbox changed, it will be killed and re-created.");
    move(State::kSandbox);
  }
  lose_sandbox();
  step();
}

// A dead one stays, for the logs of its containers, until the pod is removed.
void PodMachine::lose_sandbox() {
  services_.network.detach(sandbox_id_, [](const Result<void>&) {});
  old_sandboxes_.push_back(std::exchange(sandbox_id_, {}));
  pod_ips_.clear();
}

const runtime::ContainerStatus* PodMachine::container(std::string_view name, bool previous) const {
  for (size_t i = 0; i < containers_.size(); i++) {
    if (pod_->containers()[i].name != name) continue;
    const ContainerRecord& r = containers_[i]->record();
    // Between two attempts the newest one is shown as the last one.
    const auto& chosen = previous ? r.last : r.current ? r.current : r.last;
    return chosen ? &*chosen : nullptr;
  }
  return nullptr;
}

Observation PodMachine::observe() const {
  Observation seen;
  for (const auto& c : containers_) seen.containers.push_back(c->record());
  seen.sandbox_ready = sandbox_alive_ && state_ == State::kRunning;
  if (state_ == State::kStopping) seen.sandbox_ready = sandbox_alive_;
  seen.rejected = !rejected_.ok();
  seen.failed = !failed_.ok();
  seen.reason = seen.rejected ? rejected_.reason : failed_.reason;
  seen.message = seen.rejected ? "Pod was rejected: " + rejected_.message : failed_.message;
  seen.over = over_ && stop_.all_stopped();
  seen.host_ips = services_.host_ips;
  seen.pod_ips = pod_ips_;
  seen.start_time_us = start_time_us_;
  seen.now_us = services_.clock.now_us();
  seen.runtime_name = services_.runtime.name();
  seen.evicted = stop_.limited();
  seen.resize_pending = resizer_.pending();
  seen.resize_progress = resizer_.progress();
  return seen;
}

void PodMachine::publish() {
  // While containers are about to run, a status would show what is over in a moment: the change
  // that ends it publishes.
  bool soon = std::any_of(containers_.begin(), containers_.end(),
                          [](const auto& c) { return c->starting(); });
  if (soon && state_ == State::kRunning) return;
  if (state_ == State::kStopping && over_ && pod_->finished()) return;  // recovered, told already
  services_.statuses.set(pod_, make_status(*pod_, observe()));
}

}  // namespace knarr::agent
