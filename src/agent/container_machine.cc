#include "agent/container_machine.h"

#include <algorithm>
#include <utility>

#include "agent/pod_resize.h"
#include "base/format.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

using State = ContainerMachine::State;

// The kubelet looks at a failed pod again after ten seconds: until then a crashed container shows
// its exit, from then on CrashLoopBackOff.
constexpr int64_t kShowBackoffMs = 10 * 1000;
// And what is shown stays a moment before the next try.
constexpr int64_t kShownAtLeastMs = 1000;
constexpr int64_t kConfigRetryMs = 10 * 1000;

struct Move {
  State from, to;
};
constexpr Move kMoves[] = {
    {State::kIdle, State::kPulling},         {State::kPulling, State::kConfiguring},
    {State::kConfiguring, State::kCreating}, {State::kCreating, State::kStarting},
    {State::kStarting, State::kHook},        {State::kStarting, State::kRunning},
    {State::kHook, State::kRunning},         {State::kHook, State::kStopping},
    {State::kRunning, State::kStopping},     {State::kIdle, State::kRunning},  // recovered
};

bool allowed(State from, State to) {
  if (to == State::kIdle) return true;
  for (const Move& m : kMoves) {
    if (m.from == from && m.to == to) return true;
  }
  return false;
}

int64_t to_ms(int64_t ns) { return ns / 1000000; }

}  // namespace

ContainerMachine::ContainerMachine(PodServices& services, std::string name, IdOf id_of,
                                   std::function<void()> changed)
    : services_(services),
      name_(std::move(name)),
      id_of_(std::move(id_of)),
      changed_(std::move(changed)),
      stop_(services, [this] { gone(); }) {}

// Every move makes the callbacks of the step before stale.
void ContainerMachine::move(State to) {
  if (!allowed(state_, to)) {
    base::log(base::Level::kError, "agent", "container {}: no move from {} to {}", spec().name,
              static_cast<int>(state_), static_cast<int>(to));
  }
  state_ = to;
  epoch_.next();
  stop_.over();
}

void ContainerMachine::recover(const PodRef& pod, const std::string& sandbox_id,
                               const std::vector<std::string>& pod_ips, Remains remains) {
  pod_ = pod;
  sandbox_id_ = sandbox_id;
  pod_ips_ = pod_ips;
  const std::vector<runtime::ContainerStatus>& newest_first = remains.newest_first;
  const runtime::ContainerStatus& newest = newest_first[0];
  record_.restart_count = static_cast<int>(newest.attempt);
  record_.resources = resources_of(spec());
  next_attempt_ = record_.restart_count + 1;
  if (newest_first.size() > 1) {
    record_.last = newest_first[1];
    record_.last_message = services_.configurer.termination_message(*pod_, spec(), *record_.last);
  }
  for (size_t i = 1; i < newest_first.size(); i++) older_ids_.push_back(newest_first[i].id);
  record_.current = newest;
  if (newest.state == runtime::ContainerState::kRunning) {
    now_running(remains.started, remains.ready);
  } else if (newest.state == runtime::ContainerState::kExited) {
    record_.exit_message = services_.configurer.termination_message(*pod_, spec(), newest);
    back_off();
  } else {  // made and never started: as if it had not been
    older_ids_.push_back(newest.id);
    record_.current.reset();
    next_attempt_ = static_cast<int>(newest.attempt);
  }
}

void ContainerMachine::recover_count(int restart_count) {
  record_.restart_count = restart_count;
  next_attempt_ = restart_count + 1;
}

void ContainerMachine::start(const PodRef& pod, const std::string& sandbox_id,
                             const std::vector<std::string>& pod_ips) {
  if (state_ != State::kIdle || services_.clock.monotonic_ms() < may_start_ms_) return;
  pod_ = pod;
  sandbox_id_ = sandbox_id;
  pod_ips_ = pod_ips;
  timer_.reset();
  shown_timer_.reset();
  failure_ = {};  // of an attempt that ended with its sandbox
  move(State::kPulling);
  services_.images.ensure(pod_, spec(), epoch_.guarded([this](ImagePuller::Outcome outcome) {
    pulled(std::move(outcome));
  }));
}

// Back to idle, with words for the user, to be started again when the time has come.
void ContainerMachine::wait(const std::string& reason, const std::string& message,
                            int64_t retry_ms) {
  record_.waiting_reason = reason;
  record_.waiting_message = message;
  move(State::kIdle);
  may_start_ms_ = services_.clock.monotonic_ms() + retry_ms;
  timer_ = services_.clock.timer([this] { changed_(); });
  timer_->start(retry_ms + 1);
  changed_();
}

void ContainerMachine::pulled(ImagePuller::Outcome outcome) {
  if (!outcome.ok()) {
    wait(outcome.reason, outcome.message, outcome.retry_ms);
    return;
  }
  move(State::kConfiguring);
  image_id_ = outcome.image.id;
  std::string target = (*spec().spec)["targetContainerName"].text(), target_id;
  if (!target.empty()) {
    target_id = id_of_(target);
    if (target_id.empty()) {
      configured(make_error(Code::kInvalid, "unable to find target container " + target));
      return;
    }
  }
  services_.configurer.configure({pod_, &spec(), static_cast<uint32_t>(next_attempt_),
                                  outcome.image, pod_ips_, sandbox_id_, target_id},
                                 epoch_.guarded([this](Result<runtime::ContainerConfig> config) {
                                   configured(std::move(config));
                                 }));
}

void ContainerMachine::configured(Result<runtime::ContainerConfig> config) {
  if (!config.ok()) {
    const std::string& message = config.error().message;
    services_.events.warning(*pod_, spec().field_path, "Failed", "Error: " + message);
    wait("CreateContainerConfigError", message, kConfigRetryMs);
    return;
  }
  move(State::kCreating);
  services_.runtime.create_container(
      sandbox_id_, *std::move(config),
      epoch_.guarded([this](Result<std::string> id) { created(std::move(id)); }));
}

void ContainerMachine::created(Result<std::string> id) {
  if (!id.ok()) {
    services_.events.warning(*pod_, spec().field_path, "Failed", "Error: " + id.error().message);
    wait("CreateContainerError", id.error().message, kConfigRetryMs);
    return;
  }
  services_.events.normal(*pod_, spec().field_path, "Created", "Container created");
  if (record_.current) {
    if (record_.last) older_ids_.push_back(record_.last->id);
    record_.last = std::move(record_.current);
    record_.last_message = std::move(record_.exit_message);
  }
  record_.current.emplace();
  record_.current->id = *id;
  record_.current->name = spec().name;
  record_.current->image_id = image_id_;
  record_.current->state = runtime::ContainerState::kCreated;
  record_.restart_count = next_attempt_++;
  record_.killed = false;
  record_.exit_message.clear();
  record_.resources = resources_of(spec());
  early_exit_.reset();
  move(State::kStarting);
  services_.runtime.start_container(record_.current->id,
                                    epoch_.guarded([this](Result<runtime::ContainerStatus> status) {
                                      started(std::move(status));
                                    }));
}

void ContainerMachine::started(Result<runtime::ContainerStatus> status) {
  if (!status.ok()) {
    start_failed(status.error().message);
    return;
  }
  record_.current = early_exit_ ? *std::exchange(early_exit_, {}) : *std::move(status);
  record_.waiting_reason.clear();
  record_.waiting_message.clear();
  services_.events.normal(*pod_, spec().field_path, "Started", "Container started");
  remove_older();
  if (record_.current->state == runtime::ContainerState::kExited) {
    exited(*record_.current);  // a short one: over before the answer came
    return;
  }
  if ((*spec().spec)["lifecycle"]["postStart"].is_object()) {
    run_post_start();
  } else {
    now_running();
  }
  changed_();
}

// A command that cannot be run is an exit with 128, as the runtimes of others do; what the pod
// shows first is why it waits, when it is to be tried again.
void ContainerMachine::start_failed(const std::string& message) {
  services_.events.warning(*pod_, spec().field_path, "Failed", "Error: " + message);
  runtime::ContainerStatus failed = *record_.current;
  failed.state = runtime::ContainerState::kExited;
  failed.exit_code = 128;
  failed.reason = "StartError";
  failed.message = message;
  failed.started_at_ns = 0;
  failed.finished_at_ns = services_.clock.now_us() * 1000;
  failure_ = {"RunContainerError", message};
  exited(failed);
}

void ContainerMachine::run_post_start() {
  move(State::kHook);
  services_.hooks.run(target(), (*spec().spec)["lifecycle"]["postStart"], 0,
                      epoch_.guarded([this](Result<void> done) {
                        if (done.ok()) {
                          now_running();
                          changed_();
                          return;
                        }
                        // What it said may hold secrets: an event does not repeat it.
                        services_.events.warning(*pod_, spec().field_path, "FailedPostStartHook",
                                                 "PostStartHook failed");
                        failure_ = {"PostStartHookError", done.error().message};
                        stop(pod_, deadline_ms(pod_->grace_seconds() * 1000),
                             "FailedPostStartHook");
                      }));
}

void ContainerMachine::now_running(bool was_started, bool was_ready) {
  move(State::kRunning);
  record_.waiting_reason.clear();
  record_.waiting_message.clear();
  bool startup = (*spec().spec)["startupProbe"].is_object();
  bool readiness = (*spec().spec)["readinessProbe"].is_object();
  record_.started = !startup || was_started;
  record_.ready = record_.started && (!readiness || was_ready);
  start_probes();
}

Prober::Target ContainerMachine::target() const {
  return {pod_,
          &spec(),
          record_.current->id,
          pod_ips_.empty() ? services_.host_ips.at(0) : pod_ips_[0],
          record_.current->started_at_ns,
          record_.started,
          record_.ready};
}

void ContainerMachine::start_probes() {
  const json::Value& c = *spec().spec;
  if (!c["startupProbe"].is_object() && !c["readinessProbe"].is_object() &&
      !c["livenessProbe"].is_object()) {
    return;
  }
  services_.prober.start(
      target(), epoch_.guarded([this](ProbeKind kind, bool passed, const std::string& message) {
        verdict(kind, passed, message);
      }));
}

void ContainerMachine::verdict(ProbeKind kind, bool passed, const std::string&) {
  const char* failed_probe = kind == ProbeKind::kStartup ? "startup" : "liveness";
  switch (kind) {
    case ProbeKind::kReadiness: record_.ready = passed; break;
    case ProbeKind::kStartup:
      record_.started = passed;
      if (passed && !(*spec().spec)["readinessProbe"].is_object()) record_.ready = true;
      if (passed) break;
      [[fallthrough]];
    case ProbeKind::kLiveness: {
      if (passed) break;
      bool again = spec().restart_policy != RestartPolicy::kNever;
      record_.killed = true;
      const json::Value& probe = (*spec().spec)[std::string(failed_probe) + "Probe"];
      int64_t grace_s = probe["terminationGracePeriodSeconds"].as_int(pod_->grace_seconds());
      stop(pod_, deadline_ms(grace_s * 1000),
           fmt::format("Container {} failed {} probe{}", spec().name, failed_probe,
                       again ? ", will be restarted" : ""));
      return;
    }
  }
  changed_();
}

void ContainerMachine::stop(const PodRef& pod, int64_t deadline_ms, const std::string& why,
                            bool hold) {
  pod_ = pod;
  // Nothing is there yet: the answers under way come too late.
  if (state_ == State::kPulling || state_ == State::kConfiguring) return move(State::kIdle);
  if (state_ == State::kStopping) return stop_.shorten(deadline_ms);
  if (!running()) return;
  services_.prober.stop(record_.current->id);
  services_.events.normal(*pod_, spec().field_path, "Killing", why);
  Prober::Target at = target();
  move(State::kStopping);
  stop_.begin(std::move(at), deadline_ms, hold);
}

void ContainerMachine::restart(const PodRef& pod, const std::string& why) {
  record_.killed = true;
  stop(pod, deadline_ms(pod->grace_seconds() * 1000), why);
}

void ContainerMachine::resized(const PodRef& pod, const std::string& id,
                               const runtime::Resources& resources) {
  // It may have died, alone or with its sandbox, while the kernel was told.
  if (!running() || !record_.current || record_.current->id != id) return;
  pod_ = pod;
  record_.resources = resources_of(spec());
  record_.current->resources = resources;
  changed_();
}

void ContainerMachine::gone() {
  if (state_ == State::kIdle) return;
  if (!record_.current || record_.current->state == runtime::ContainerState::kExited) {
    move(State::kIdle);
    changed_();
    return;
  }
  runtime::ContainerStatus status = *record_.current;
  status.state = runtime::ContainerState::kExited;
  status.exit_code = 137;
  status.reason = "ContainerStatusUnknown";
  status.finished_at_ns = services_.clock.now_us() * 1000;
  exited(status);
}

void ContainerMachine::on_exit(const runtime::ContainerStatus& status) {
  if (!record_.current || status.id != record_.current->id) return;
  if (state_ == State::kStarting) {
    early_exit_ = status;
  } else if (record_.current->state != runtime::ContainerState::kExited) {
    exited(status);
  }
}

void ContainerMachine::exited(const runtime::ContainerStatus& status) {
  services_.prober.stop(status.id);
  record_.current = status;
  record_.ready = false;
  record_.started = false;
  record_.waiting_reason.clear();
  record_.exit_message = services_.configurer.termination_message(*pod_, spec(), status);
  if (state_ != State::kIdle) move(State::kIdle);
  back_off();
  changed_();
}

// Sets when the container may start again, should it have to.
void ContainerMachine::back_off() {
  const runtime::ContainerStatus& c = *record_.current;
  Failure failure = std::exchange(failure_, {});
  if (!restarts(facts_of(spec(), record_)) || pod_->deleting()) return;
  record_.waiting_reason = failure.reason;
  record_.waiting_message = failure.message;
  int64_t started_ms = to_ms(c.started_at_ns > 0 ? c.started_at_ns : c.finished_at_ns);
  backoff_.next_start(started_ms, to_ms(c.finished_at_ns));
  int64_t wait_ms = backoff_.wait_ms();
  may_start_ms_ = 0;
  if (wait_ms == 0) return;
  if (wait_ms < kShowBackoffMs + kShownAtLeastMs) wait_ms = kShowBackoffMs + kShownAtLeastMs;
  may_start_ms_ = services_.clock.monotonic_ms() + wait_ms;
  services_.events.warning(*pod_, spec().field_path, "BackOff",
                           fmt::format("Back-off restarting failed container {} in pod {}",
                                       spec().name, pod_->full_name()));
  std::string text = fmt::format("back-off {} restarting failed container={} pod={}",
                                 duration_text(backoff_.wait_ms()), spec().name, pod_->full_name());
  shown_timer_ = services_.clock.timer([this, text] {
    record_.waiting_reason = "CrashLoopBackOff";
    record_.waiting_message = text;
    changed_();
  });
  shown_timer_->start(kShowBackoffMs);
  timer_ = services_.clock.timer([this] { changed_(); });
  timer_->start(wait_ms + 1);
}

void ContainerMachine::sandbox_lost() {
  if (record_.current && record_.current->state != runtime::ContainerState::kExited) {
    services_.prober.stop(record_.current->id);
    record_.current->state = runtime::ContainerState::kExited;
    record_.current->exit_code = 137;
    record_.current->reason = "ContainerStatusUnknown";
    record_.current->message = "The container could not be located when the pod was terminated";
    record_.current->finished_at_ns = services_.clock.now_us() * 1000;
  }
  // What runs only once is shown as it ended.
  if (record_.current && spec().kind != ContainerKind::kEphemeral) {
    if (record_.last) older_ids_.push_back(record_.last->id);
    record_.last = std::move(record_.current);
    record_.current.reset();
  }
  record_.ready = record_.started = false;
  move(State::kIdle);
  may_start_ms_ = 0;
}

void ContainerMachine::abandon() {
  if (record_.current) services_.prober.stop(record_.current->id);
  timer_.reset();
  shown_timer_.reset();
  epoch_.next();
  if (state_ != State::kRunning && state_ != State::kStopping) state_ = State::kIdle;
}

// The newest and the one before are kept, for `kubectl logs --previous`.
void ContainerMachine::remove_older() {
  for (const std::string& id : older_ids_) {
    services_.runtime.remove_container(id, [](const Result<void>&) {});
  }
  older_ids_.clear();
}

}  // namespace knarr::agent
