#include "agent/container_stop.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

namespace {

// Between the signal and SIGKILL, however little time there is.
constexpr int64_t kLeastGraceMs = 2000;

}  // namespace

void ContainerStop::begin(Prober::Target target, int64_t deadline_ms, bool hold) {
  epoch_.next();
  target_ = std::move(target);
  deadline_ms_ = deadline_ms;
  held_ = hold;
  hook_over_ = false;
  const json::Value& hook = (*target_.container->spec)["lifecycle"]["preStop"];
  int64_t left_ms = deadline_ms - services_.clock.monotonic_ms();
  if (!hook.is_object() || left_ms <= 0) return hook_over();
  services_.hooks.run(target_, hook, left_ms, epoch_.guarded([this](Result<void> done) {
    // What it said may hold secrets: an event does not repeat it.
    if (!done.ok() && done.error().code != Code::kTimeout) {
      services_.events.warning(*target_.pod, target_.container->field_path, "FailedPreStopHook",
                               "PreStopHook failed");
    }
    // Shortened meanwhile: it was waited for no more.
    if (!hook_over_) hook_over();
  }));
}

void ContainerStop::shorten(int64_t deadline_ms) {
  if (deadline_ms >= deadline_ms_) return;
  deadline_ms_ = deadline_ms;
  hook_over();
}

void ContainerStop::hook_over() {
  hook_over_ = true;
  if (!held_) send_signal();
}

void ContainerStop::release() {
  if (!held_) return;
  held_ = false;
  if (hook_over_) send_signal();
}

void ContainerStop::send_signal() {
  int64_t left_ms = deadline_ms_ - services_.clock.monotonic_ms();
  services_.runtime.stop_container(
      target_.container_id, std::max(left_ms, kLeastGraceMs),
      epoch_.guarded([this](Result<void> done) {
        if (done.ok()) return;
        base::log(base::Level::kWarning, "agent", "stop container {} of {}: {}",
                  target_.container->name, target_.pod->full_name(), done.error().message);
        nothing_left_();
      }));
}

}  // namespace knarr::agent
