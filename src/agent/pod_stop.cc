#include "agent/pod_stop.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

namespace {

bool left(const ContainerMachine& c) { return c.busy() || c.running(); }

void log_failure(const Pod& pod, const char* what, const Result<void>& result) {
  if (result.ok()) return;
  base::log(base::Level::kWarning, "agent", "{} of {}: {}", what, pod.full_name(),
            result.error().message);
}

}  // namespace

void PodStop::go_on(const PodRef& pod, int64_t grace_ms) {
  if (limited()) grace_ms = std::min(grace_ms, most_grace_ms_);
  int64_t now_ms = services_.clock.monotonic_ms();
  deadline_ms_ = std::min(deadline_ms_, now_ms + grace_ms);
  int64_t left_ms = std::max<int64_t>(deadline_ms_ - now_ms, 0);
  for (const auto& c : containers_) {
    bool waits = pod->container(c->name())->kind == ContainerKind::kSidecar;
    c->stop(pod, deadline_ms_, "Stopping container " + c->name(), waits);
  }
  if (left_ms > 0 && !all_stopped_but_sidecars(*pod)) return;
  for (size_t i = containers_.size(); i-- > 0;) {
    containers_[i]->release();
    if (left_ms > 0 && left(*containers_[i])) return;
  }
}

bool PodStop::all_stopped_but_sidecars(const Pod& pod) const {
  return std::none_of(containers_.begin(), containers_.end(), [&](const auto& c) {
    return pod.container(c->name())->kind != ContainerKind::kSidecar && left(*c);
  });
}

bool PodStop::all_stopped() const {
  return std::none_of(containers_.begin(), containers_.end(),
                      [](const auto& c) { return left(*c); });
}

void tear_down(PodServices& services, const PodRef& pod, const std::string& sandbox_id,
               std::function<void()> done) {
  auto volumes = [pod, done = std::move(done)](const Result<void>& result) {
    log_failure(*pod, "volumes", result);
    done();
  };
  auto sandbox = [&services, pod, volumes](const Result<void>& result) {
    log_failure(*pod, "sandbox", result);
    services.volumes.tear_down(pod->uid(), volumes);
  };
  if (sandbox_id.empty()) return sandbox({});
  // While its namespace is there: those who made something in it may want to look.
  services.network.detach(sandbox_id,
                          [&services, pod, sandbox_id, sandbox](const Result<void>& result) {
                            log_failure(*pod, "network", result);
                            services.runtime.stop_sandbox(sandbox_id, sandbox);
                          });
}

void remove_sandboxes(PodServices& services, const PodRef& pod, const std::vector<std::string>& ids,
                      std::function<void()> done) {
  auto count = std::make_shared<size_t>(ids.size() + 1);
  auto one_done = [pod, count, done = std::move(done)](const Result<void>& result) {
    log_failure(*pod, "a sandbox", result);
    if (--*count == 0) done();
  };
  for (const std::string& id : ids) services.runtime.remove_sandbox(id, one_done);
  services.clock.defer([one_done] { one_done({}); });
}

}  // namespace knarr::agent
