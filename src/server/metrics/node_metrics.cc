#include "server/metrics/node_metrics.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace knarr::server {

namespace {

constexpr int64_t kFreshMs = 1000;
constexpr int64_t kWindowMs = 1000;
constexpr int64_t kMostIdleMs = 60 * 1000;
// Upstream's windows are 15 s; who asks every 15 s asks a little early at times.
constexpr int64_t kGoodWindowMs = 14 * 1000;
constexpr int64_t kApartMs = 5 * 1000;
constexpr int64_t kAnswerMs = 5000;
// What started less long ago has hardly used anything yet.
constexpr double kLeastWindowSeconds = 0.1;
constexpr double kMostSeconds = 1e11;  // since the epoch; a node may say anything

const GroupResource kNodeKey{"", "nodes"};
const GroupResource kPodKey{"", "pods"};

std::string node_of(const Object& pod) {
  const std::string* node = pod.field("spec.nodeName");
  return node == nullptr ? "" : *node;
}

}  // namespace

std::optional<UsageRate> usage_rate(const UsageCounter* before, const UsageCounter& after) {
  if (!after.cpu_seconds || !after.memory_bytes || after.cpu_ms <= 0) return std::nullopt;
  double end = static_cast<double>(after.cpu_ms) / 1e3;
  double begin = after.started_seconds, used = *after.cpu_seconds;
  bool same = before != nullptr && before->cpu_seconds && before->cpu_ms < after.cpu_ms &&
              *before->cpu_seconds <= *after.cpu_seconds &&
              before->started_seconds == after.started_seconds;
  if (same) {
    begin = static_cast<double>(before->cpu_ms) / 1e3;
    used -= *before->cpu_seconds;
  } else if (begin <= 0) {
    return std::nullopt;
  }
  double window = end - begin;
  if (window < kLeastWindowSeconds || window > kMostSeconds || end > kMostSeconds) {
    return std::nullopt;
  }
  UsageRate rate;
  rate.cpu_nano_cores = std::llround(std::min(used / window, 1e6) * 1e9);
  rate.memory_bytes = *after.memory_bytes;
  rate.timestamp_us = std::llround(end * 1e6);
  rate.window_us = std::llround(window * 1e6);
  return rate;
}

void Readings::add(int64_t ms, NodeCounters counters) {
  auto used = [](const NodeCounters& c) { return c.node.cpu_seconds.value_or(0); };
  if (!empty() && used(counters) < used(last().counters)) clear();
  size_t n = readings_.size();
  if (n > 1 && readings_[n - 1].ms - readings_[n - 2].ms < kApartMs) readings_.pop_back();
  readings_.push_back({ms, std::move(counters)});
  while (readings_.size() > 2 && readings_[1].ms <= ms - kGoodWindowMs) {
    readings_.erase(readings_.begin());
  }
}

NodeMetrics::NodeMetrics(const Cache& cache, Clock& clock) : cache_(cache), clock_(clock) {}

NodeMetrics::~NodeMetrics() { *alive_ = false; }

void NodeMetrics::set_reader(NodeReader* reader) {
  reader_ = reader;
  for (auto& [name, node] : nodes_) node.reading.reset();
}

void NodeMetrics::nodes(std::vector<ObjectRef> nodes,
                        std::function<void(std::vector<NodeUse>)> done) {
  std::vector<std::string> names;
  for (const ObjectRef& node : nodes) names.push_back(node->name.name);
  measure(names, [this, nodes = std::move(nodes), done = std::move(done)] {
    std::vector<NodeUse> uses;
    for (const ObjectRef& node : nodes) {
      const Readings* readings = known(node->name.name);
      if (readings == nullptr) continue;
      auto rate = usage_rate(&readings->first().counters.node, readings->last().counters.node);
      if (rate) uses.push_back({node, *rate});
    }
    done(std::move(uses));
  });
}

void NodeMetrics::pods(std::vector<ObjectRef> pods, std::function<void(std::vector<PodUse>)> done) {
  std::set<std::string> names;
  for (const ObjectRef& pod : pods) names.insert(node_of(*pod));
  names.erase("");
  measure({names.begin(), names.end()}, [this, pods = std::move(pods), done = std::move(done)] {
    std::vector<PodUse> uses;
    for (const ObjectRef& pod : pods) {
      if (auto use = use_of(pod)) uses.push_back(*std::move(use));
    }
    done(std::move(uses));
  });
}

const Readings* NodeMetrics::known(const std::string& node) const {
  auto it = nodes_.find(node);
  bool told = it != nodes_.end() && it->second.answers && it->second.readings.has_window();
  return told ? &it->second.readings : nullptr;
}

std::optional<NodeMetrics::PodUse> NodeMetrics::use_of(const ObjectRef& pod) const {
  const Readings* readings = known(node_of(*pod));
  if (readings == nullptr) return std::nullopt;
  const auto &before = readings->first().counters.pods, &now = readings->last().counters.pods;
  auto after = now.find(pod->name);
  if (after == now.end()) return std::nullopt;
  auto then = before.find(pod->name);
  PodUse use{pod, {}};
  for (const auto& [name, counter] : after->second) {
    const UsageCounter* earlier = nullptr;
    if (then != before.end()) {
      auto c = then->second.find(name);
      if (c != then->second.end()) earlier = &c->second;
    }
    auto rate = usage_rate(earlier, counter);
    if (!rate) return std::nullopt;  // what is known of a pod in part is not told
    use.containers[name] = *rate;
  }
  return use;
}

void NodeMetrics::pod_metrics(const std::string& ns, const api::LabelSelector& selector,
                              Done done) {
  std::vector<ObjectRef> chosen;
  cache_.for_each(kPodKey, ns, [&](const ObjectRef& pod) {
    if (selector.matches(*pod)) chosen.push_back(pod);
    return true;
  });
  pods(std::move(chosen), [done = std::move(done)](const std::vector<PodUse>& uses) {
    std::vector<PodSample> samples;
    for (const PodUse& use : uses) {
      PodSample sample;
      sample.pod = use.pod->name.name;
      for (const auto& [name, rate] : use.containers) {
        sample.timestamp_us = std::max(sample.timestamp_us, rate.timestamp_us);
        sample.window_us = rate.window_us;
        sample.containers[name] = {
            {"cpu", api::Quantity::milli((rate.cpu_nano_cores + 999999) / 1000000)},
            {"memory", api::Quantity(rate.memory_bytes)}};
      }
      samples.push_back(std::move(sample));
    }
    done(std::move(samples));
  });
}

void NodeMetrics::measure(const std::vector<std::string>& nodes, std::function<void()> done) {
  auto left = std::make_shared<size_t>(nodes.size() + 1);
  auto one = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const std::string& name : nodes) refresh(name, one);
  one();
}

void NodeMetrics::refresh(const std::string& name, std::function<void()> done) {
  Node& node = nodes_[name];
  bool busy = !node.waiting.empty();
  Readings& readings = node.readings;
  int64_t now_ms = clock_.monotonic_ms();
  bool fresh = node.answers && readings.has_window() && now_ms - readings.last().ms < kFreshMs;
  if (!busy && fresh) return done();
  node.waiting.push_back(std::move(done));
  if (busy) return;
  if (!readings.empty() && now_ms - readings.last().ms > kMostIdleMs) readings.clear();
  node.second = false;
  if (!node.timer) node.timer = clock_.timer([this, name] { due(name); });
  read(name);
}

void NodeMetrics::read(const std::string& name) {
  Node& node = nodes_[name];
  node.asked = true;
  ObjectRef object = cache_.get({kNodeKey, {"", name}});
  if (object == nullptr || reader_ == nullptr) {
    return answered(name, make_error(Code::kServiceUnavailable, "no node can be reached"));
  }
  node.timer->start(kAnswerMs);
  auto reading = reader_->read(
      object, "/metrics/resource",
      [this, name, alive = std::weak_ptr<bool>(alive_)](const Result<std::string>& text) {
        if (!alive.expired()) answered(name, text);
      });
  // It may have been answered within the call.
  auto it = nodes_.find(name);
  if (it != nodes_.end() && it->second.asked) it->second.reading = std::move(reading);
}

void NodeMetrics::due(const std::string& name) {
  if (!nodes_[name].asked) return read(name);
  answered(name, make_error(Code::kTimeout, "the node does not answer"));
}

void NodeMetrics::answered(const std::string& name, const Result<std::string>& text) {
  auto it = nodes_.find(name);
  if (it == nodes_.end() || !it->second.asked) return;
  Node& node = it->second;
  node.asked = false;
  // Destroyed later: this may be its own call.
  if (node.reading) clock_.defer([old = std::shared_ptr(std::move(node.reading))] {});
  node.answers = text.ok();
  if (!text.ok()) return finish(name);
  node.readings.add(clock_.monotonic_ms(), parse_resource_metrics(*text));
  bool enough = node.readings.window_ms() >= kWindowMs;
  if (enough || std::exchange(node.second, true)) return finish(name);
  node.timer->start(kWindowMs);
}

void NodeMetrics::finish(const std::string& name) {
  Node& node = nodes_[name];
  node.timer->stop();
  std::vector<std::function<void()>> waiting = std::exchange(node.waiting, {});
  bool gone = cache_.get({kNodeKey, {"", name}}) == nullptr;
  for (const auto& done : waiting) done();
  // Whoever asked may have asked again.
  auto it = nodes_.find(name);
  if (gone && it != nodes_.end() && it->second.waiting.empty()) nodes_.erase(it);
}

}  // namespace knarr::server
