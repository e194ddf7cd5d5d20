#include "agent/pod_resizer.h"

#include <utility>

#include "agent/pod_resources.h"
#include "base/format.h"

namespace knarr::agent {

namespace {

constexpr int64_t kRetryMs = 10 * 1000;

}  // namespace

PodResizer::PodResizer(PodServices& services, const Containers& containers,
                       std::function<void()> changed)
    : services_(services),
      containers_(containers),
      changed_(std::move(changed)),
      retry_(services.clock.timer([this] { changed_(); })) {}

PodResizer::~PodResizer() { *alive_ = false; }

template <typename F>
auto PodResizer::guarded(F fn) {
  return [alive = std::weak_ptr<bool>(alive_), fn = std::move(fn)](auto&&... args) {
    if (!alive.expired()) fn(std::forward<decltype(args)>(args)...);
  };
}

void PodResizer::tell() {
  services_.clock.defer(guarded([this] { changed_(); }));
}

void PodResizer::begin(const PodRef& wanted) {
  allocation_ = told_allocation(*wanted);
  wanted_ = wanted;
  pod_ = with_allocation(wanted_, allocation_);
}

void PodResizer::update(const PodRef& wanted) {
  wanted_ = wanted;
  pod_ = with_allocation(wanted_, allocation_);
  decide();
}

void PodResizer::group_made() { group_ = pod_group_resources(*pod_); }

void PodResizer::room_changed() {
  if (pending_ && decide()) tell();
}

bool PodResizer::decide() {
  Allocation asked = allocation_of(*wanted_);
  if (asked == allocation_) return std::exchange(pending_, {}).has_value();
  if (wanted_->deleting() || wanted_->finished()) return false;
  Admission verdict = services_.room.admit_resize(*wanted_);
  if (!verdict.ok()) {
    ResizeNote note{verdict.reason, verdict.message, generation()};
    if (pending_ == note) return false;
    pending_ = std::move(note);
    services_.events.warning(*wanted_, "", "Resize" + verdict.reason,
                             fmt::format("Pod resize {}: {}", verdict.reason,
                                         resize_summary(*wanted_, verdict.message)));
    return true;
  }
  allocation_ = std::move(asked);
  pod_ = wanted_;
  pending_.reset();
  progress_ = ResizeNote{"", "", generation()};
  services_.events.normal(*pod_, "", "ResizeStarted",
                          "Pod resize started: " + resize_summary(*pod_, ""));
  services_.room.room_changed();
  return true;
}

void PodResizer::apply() {
  if (busy_ || retry_->active()) return;
  runtime::Resources group = pod_group_resources(*pod_);
  runtime::Resources before = group_.value_or(group);
  runtime::Resources wide = both(before, group);
  bool group_differs = !group_ || !(*group_ == group);
  if (group_ && group_differs) steps_.push_back({Step::Kind::kGroup, wide});
  for (size_t i = 0; i < containers_.size(); i++) plan_container(i);
  if (group_differs) steps_.push_back({Step::Kind::kGroup, lifting(before, group)});
  next();
}

// A container that does not run starts with what it should have.
void PodResizer::plan_container(size_t i) {
  ContainerMachine& machine = *containers_[i];
  const ContainerSpec& spec = pod_->containers()[i];
  if (machine.state() != ContainerMachine::State::kRunning) return;
  json::Value before = machine.record().resources, after = resources_of(spec);
  if (before == after) return;
  if (resize_restarts(spec, before, after)) {
    machine.restart(pod_, fmt::format("Container {} resize requires restart", spec.name));
    return;
  }
  runtime::Resources wanted = services_.configurer.resources(*pod_, spec);
  const std::string& id = machine.record().current->id;
  const runtime::Resources& has = machine.record().current->resources;
  if (wanted.memory_limit_bytes > 0 && wanted.memory_limit_bytes < has.memory_limit_bytes) {
    steps_.push_back({Step::Kind::kUsage, wanted, i, id});
  }
  steps_.push_back({Step::Kind::kContainer, lifting(has, wanted), i, id});
}

void PodResizer::next() {
  if (!steps_.empty()) {
    busy_ = true;
    Step step = std::move(steps_.front());
    steps_.pop_front();
    run(step);
    return;
  }
  busy_ = false;
  if (!progress_) return;
  for (size_t i = 0; i < containers_.size(); i++) {
    const ContainerMachine& m = *containers_[i];
    bool there = m.record().resources == resources_of(pod_->containers()[i]);
    if ((m.running() || m.busy()) && !there) return;  // it starts anew; or it changed meanwhile
  }
  progress_.reset();
  services_.events.normal(*pod_, "", "ResizeCompleted",
                          "Pod resize completed: " + resize_summary(*pod_, ""));
  tell();
}

bool PodResizer::still_runs(const Step& step) const {
  const ContainerMachine& machine = *containers_[step.container];
  return machine.running() && machine.record().current->id == step.id;
}

void PodResizer::run(const Step& step) {
  auto answered = guarded([this, step](const Result<void>& result) {
    if (!result.ok()) return failed(result.error().message);
    done(step);
  });
  switch (step.kind) {
    case Step::Kind::kGroup:
      services_.runtime.update_group(pod_cgroup(*pod_), step.resources, answered);
      return;
    case Step::Kind::kUsage: check_usage(step); return;
    case Step::Kind::kContainer:
      if (!still_runs(step)) return next();
      services_.runtime.update_resources(step.id, step.resources, answered);
      return;
  }
}

// A limit below what is used would have the kernel kill at once.
void PodResizer::check_usage(const Step& step) {
  if (!still_runs(step)) return next();
  services_.runtime.stats(
      step.id, guarded([this, step](Result<runtime::ContainerStats> stats) {
        int64_t limit = step.resources.memory_limit_bytes;
        int64_t used = stats.ok() ? static_cast<int64_t>(stats->usage.memory_usage_bytes) : 0;
        if (used <= limit) return next();
        failed(
            fmt::format("cannot decrease memory limits: attempting to set container \"{}\" "
                        "memory limit ({}) below current usage ({})",
                        pod_->containers()[step.container].name, limit, used));
      }));
}

void PodResizer::done(const Step& step) {
  if (step.kind == Step::Kind::kGroup) {
    group_ = step.resources;
  } else {
    containers_[step.container]->resized(pod_, step.id, step.resources);
  }
  // What lifted a limit has none now.
  if (step.kind == Step::Kind::kGroup && steps_.empty()) group_ = pod_group_resources(*pod_);
  next();
}

void PodResizer::failed(const std::string& message) {
  steps_.clear();
  busy_ = false;
  if (!progress_) progress_ = ResizeNote{"", "", generation()};
  if (progress_->message != message) {
    services_.events.warning(*pod_, "", "ResizeError",
                             "Pod resize error: " + resize_summary(*pod_, message));
  }
  progress_->reason = "Error";
  progress_->message = message;
  retry_->start(kRetryMs);
  tell();
}

}  // namespace knarr::agent
