#include "agent/probes/prober.h"

#include <algorithm>

namespace knarr::agent {

using json::Value;

namespace {

const char* member_of(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup: return "startupProbe";
    case ProbeKind::kLiveness: return "livenessProbe";
    case ProbeKind::kReadiness: return "readinessProbe";
  }
  return "";
}

const char* title_of(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kStartup: return "Startup";
    case ProbeKind::kLiveness: return "Liveness";
    case ProbeKind::kReadiness: return "Readiness";
  }
  return "";
}

}  // namespace

ProbeSettings probe_settings(const Value& probe) {
  ProbeSettings s;
  s.initial_delay_ms = probe["initialDelaySeconds"].as_int(0) * 1000;
  s.period_ms = probe["periodSeconds"].as_int(10) * 1000;
  s.timeout_ms = probe["timeoutSeconds"].as_int(1) * 1000;
  s.success_threshold = probe["successThreshold"].as_int(1);
  s.failure_threshold = probe["failureThreshold"].as_int(3);
  return s;
}

bool ProbeCounter::add(bool success) {
  in_a_row_ = success == last_ && in_a_row_ > 0 ? in_a_row_ + 1 : 1;
  last_ = success;
  int64_t needed = success ? settings_.success_threshold : settings_.failure_threshold;
  if (in_a_row_ < needed || passed_ == success) return false;
  passed_ = success;
  return true;
}

// One probe of one container.
class ContainerProber::Worker {
 public:
  Worker(ContainerProber& owner, Container& container, ProbeKind kind);
  void probe();

 private:
  void result(const HandlerResult& result);

  ContainerProber& owner_;
  Container& container_;
  ProbeKind kind_;
  ProbeSettings settings_;
  ProbeCounter counter_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<HandlerRun> run_;
};

struct ContainerProber::Container {
  Target target;
  Verdict verdict;
  std::vector<std::unique_ptr<Worker>> workers;
};

ContainerProber::Worker::Worker(ContainerProber& owner, Container& container, ProbeKind kind)
    : owner_(owner),
      container_(container),
      kind_(kind),
      settings_(probe_settings((*container.target.container->spec)[member_of(kind)])),
      counter_(settings_, kind == ProbeKind::kLiveness ||
                              (kind == ProbeKind::kReadiness && container.target.ready)) {
  timer_ = owner_.clock_.timer([this] { probe(); });
  int64_t since_start_ms = owner_.clock_.now_us() / 1000 - container.target.started_at_ns / 1000000;
  timer_->start(std::max<int64_t>(settings_.initial_delay_ms - since_start_ms, 0));
}

void ContainerProber::Worker::probe() {
  const Value& handler = (*container_.target.container->spec)[member_of(kind_)];
  run_ = owner_.runner_.run(container_.target, handler, settings_.timeout_ms,
                            HandlerRunner::Purpose::kProbe,
                            [this](const HandlerResult& r) { result(r); });
}

void ContainerProber::Worker::result(const HandlerResult& r) {
  // Results may come several at once, and one of them may have stopped this container's probes.
  auto it = owner_.containers_.find(container_.target.container_id);
  if (it == owner_.containers_.end() || it->second.get() != &container_) return;
  std::shared_ptr<Container> alive = it->second;
  timer_->start(settings_.period_ms);
  const Pod& pod = *container_.target.pod;
  const std::string& field_path = container_.target.container->field_path;
  std::string title = title_of(kind_);
  if (r.verdict == HandlerResult::Verdict::kUnknown) {
    owner_.count(container_.target, kind_, "unknown");
    owner_.events_.warning(pod, field_path, "Unhealthy",
                           title + " probe errored and resulted in unknown state: " + r.output);
    return;
  }
  bool success = r.verdict != HandlerResult::Verdict::kFailure;
  owner_.count(container_.target, kind_, success ? "successful" : "failed");
  if (r.verdict == HandlerResult::Verdict::kWarning) {
    owner_.events_.warning(pod, field_path, "ProbeWarning", title + " probe warning: " + r.output);
  }
  if (!success) {
    owner_.events_.warning(pod, field_path, "Unhealthy", title + " probe failed: " + r.output);
  }
  bool changed = counter_.add(success);
  // A startup probe begins as not passed: its final failure is no change, and is told all the same.
  bool startup_over = kind_ == ProbeKind::kStartup && !success && counter_.failed_for_good();
  if (!changed && !startup_over) return;
  alive->verdict(kind_, success, r.output);  // may stop this container's probes
  bool stopped = owner_.containers_.count(alive->target.container_id) == 0;
  if (!stopped && kind_ == ProbeKind::kStartup && success) {
    timer_->stop();  // it has done its work; the others begin
    owner_.begin(*alive, ProbeKind::kLiveness);
    owner_.begin(*alive, ProbeKind::kReadiness);
  }
}

ContainerProber::ContainerProber(Clock& clock, HandlerRunner& runner, PodEvents& events)
    : clock_(clock), runner_(runner), events_(events) {}

ContainerProber::~ContainerProber() = default;

void ContainerProber::start(Target target, Verdict verdict) {
  auto container = std::make_shared<Container>();
  container->target = std::move(target);
  container->verdict = std::move(verdict);
  containers_[container->target.container_id] = container;
  bool startup = (*container->target.container->spec)["startupProbe"].is_object();
  if (startup && !container->target.started) {
    begin(*container, ProbeKind::kStartup);
  } else {
    begin(*container, ProbeKind::kLiveness);
    begin(*container, ProbeKind::kReadiness);
  }
}

void ContainerProber::begin(Container& container, ProbeKind kind) {
  if (!(*container.target.container->spec)[member_of(kind)].is_object()) return;
  container.workers.push_back(std::make_unique<Worker>(*this, container, kind));
}

// Deferred: the call may come from within a worker's own result.
void ContainerProber::stop(const std::string& container_id) {
  auto it = containers_.find(container_id);
  if (it == containers_.end()) return;
  std::shared_ptr<Container> container = std::move(it->second);
  containers_.erase(it);
  clock_.defer([container] { container->workers.clear(); });
  const std::string& uid = container->target.pod->uid();
  bool others = std::any_of(containers_.begin(), containers_.end(),
                            [&](const auto& c) { return c.second->target.pod->uid() == uid; });
  if (!others) counts_.erase(uid);
}

void ContainerProber::count(const Target& target, ProbeKind kind, const char* result) {
  const Pod& pod = *target.pod;
  ProbeCount& c = counts_[pod.uid()][{target.container->name, kind, result}];
  if (c.count++ == 0) {
    c = {pod.ns(), pod.name(), pod.uid(), target.container->name, kind, result, 1};
  }
}

std::vector<ProbeCount> ContainerProber::counts() const {
  std::vector<ProbeCount> all;
  for (const auto& [uid, of_pod] : counts_) {
    for (const auto& [key, c] : of_pod) all.push_back(c);
  }
  return all;
}

}  // namespace knarr::agent
