#include "agent/pod_resources.h"

#include <algorithm>
#include <functional>
#include <map>

#include "api/quantity.h"

namespace knarr::agent {

using api::Quantity;
using json::Value;

namespace {

using Amounts = std::map<std::string, Quantity>;

constexpr int64_t kMinShares = 2;
constexpr int64_t kMaxShares = 262144;
constexpr int64_t kPeriodUs = 100000;
constexpr int64_t kMinQuotaUs = 1000;
constexpr int64_t kGuaranteedOomScore = -997;
constexpr int64_t kBestEffortOomScore = 1000;
constexpr int64_t kCriticalPriority = 2000000000;

void add(Amounts& sum, const Value& list) {
  for (auto [name, amount] : list.members()) {
    sum[std::string(name)].add(api::quantity_or_zero(amount.as_string()));
  }
}

void raise(Amounts& most, const Amounts& other) {
  for (const auto& [name, amount] : other) {
    if (most[name] < amount) most[name] = amount;
  }
}

Value to_value(const Amounts& amounts) {
  Value v = Value::object();
  for (const auto& [name, amount] : amounts) v.set(name, amount.text());
  return v;
}

int64_t milli(const Value& v) { return api::quantity_or_zero(v.as_string()).milli_value(); }
int64_t whole(const Value& v) { return api::quantity_or_zero(v.as_string()).value(); }

const Value& limits_of(const ContainerSpec& c) { return (*c.spec)["resources"]["limits"]; }
const Value& requests_of(const ContainerSpec& c) { return (*c.spec)["resources"]["requests"]; }

// What spec.resources may speak of.
bool pod_level(std::string_view name) {
  return name == "cpu" || name == "memory" || name.starts_with("hugepages-");
}

// An init container needs what it asks for beside the sidecars before it. What the pod itself says
// stands for its containers' sum. Overhead comes on top: of limits where there is one.
Amounts sum_of(const Pod& pod, const char* kind) {
  Amounts sidecars, most_init, sum;
  for (const ContainerSpec& c : pod.containers()) {
    const Value& list = (*c.spec)["resources"][kind];
    if (c.kind == ContainerKind::kEphemeral) continue;
    if (c.kind == ContainerKind::kInit) {
      Amounts here = sidecars;
      add(here, list);
      raise(most_init, here);
    } else {
      add(sum, list);
      if (c.kind == ContainerKind::kSidecar) add(sidecars, list);
    }
  }
  raise(sum, most_init);
  for (auto [name, amount] : pod.spec()["resources"][kind].members()) {
    if (pod_level(name)) sum[std::string(name)] = api::quantity_or_zero(amount.as_string());
  }
  bool of_limits = std::string_view(kind) == "limits";
  for (auto [name, amount] : pod.spec()["overhead"].members()) {
    if (of_limits && sum.count(std::string(name)) == 0) continue;
    sum[std::string(name)].add(api::quantity_or_zero(amount.as_string()));
  }
  return sum;
}

// Whether nothing of the pod can use more of it than is known.
bool limited(const Pod& pod, const char* name, bool with_init) {
  if (whole(pod.spec()["resources"]["limits"][name]) > 0) return true;
  return std::all_of(pod.containers().begin(), pod.containers().end(), [&](const auto& c) {
    bool counts =
        c.kind != ContainerKind::kEphemeral && (c.kind != ContainerKind::kInit || with_init);
    return !counts || !limits_of(c)[name].is_null();
  });
}

void set_quota(runtime::Resources& r, int64_t limit_milli) {
  if (limit_milli <= 0) return;
  r.cpu_period_us = kPeriodUs;
  r.cpu_quota_us = std::max(limit_milli * kPeriodUs / 1000, kMinQuotaUs);
}

// A limit that the container does not set is the pod's.
const Value& effective_limit(const Pod& pod, const ContainerSpec& c, const char* name) {
  const Value& own = limits_of(c)[name];
  return own.is_null() ? pod.spec()["resources"]["limits"][name] : own;
}

// What the pod asks for beyond its containers is shared among them.
int64_t extra_memory_each(const Pod& pod) {
  const Value& of_pod = pod.spec()["resources"]["requests"]["memory"];
  int64_t left = whole(of_pod);
  if (of_pod.is_null()) return 0;
  int64_t count = 0;
  for (const ContainerSpec& c : pod.containers()) {
    if (!resizable(c.kind)) continue;
    left -= whole(requests_of(c)["memory"]);
    count++;
  }
  return count > 0 ? std::max<int64_t>(left, 0) / count : 0;
}

int64_t burstable_oom_score(const Pod& pod, const ContainerSpec& container, int64_t node_memory) {
  int64_t asked = whole(requests_of(container)["memory"]);
  // A sidecar goes no earlier than those it serves.
  if (container.kind == ContainerKind::kSidecar) {
    int64_t least = -1;
    for (const ContainerSpec& c : pod.containers()) {
      if (c.kind != ContainerKind::kMain) continue;
      int64_t of_main = whole(requests_of(c)["memory"]);
      least = least < 0 ? of_main : std::min(least, of_main);
    }
    asked = std::max(asked, least);
  }
  int64_t score = 1000 - 1000 * (asked + extra_memory_each(pod)) / node_memory;
  return std::clamp<int64_t>(score, 1000 + kGuaranteedOomScore, kBestEffortOomScore - 1);
}

int64_t oom_score(const Pod& pod, const ContainerSpec& container, int64_t node_memory) {
  bool critical = pod.spec()["priority"].as_int() >= kCriticalPriority;
  if (critical && pod.spec()["priorityClassName"].as_string() == "system-node-critical") {
    return kGuaranteedOomScore;
  }
  std::string qos = qos_class(pod);
  if (qos == "Guaranteed") return kGuaranteedOomScore;
  if (qos == "BestEffort" || node_memory <= 0) return kBestEffortOomScore;
  return burstable_oom_score(pod, container, node_memory);
}

}  // namespace

Value pod_requests(const Pod& pod) { return to_value(sum_of(pod, "requests")); }

Value pod_resources(const Pod& pod) {
  Amounts limits = sum_of(pod, "limits");
  std::erase_if(limits, [&](const auto& l) { return !limited(pod, l.first.c_str(), false); });
  Value v = Value::object();
  if (!limits.empty()) v.set("limits", to_value(limits));
  v.set("requests", pod_requests(pod));
  return v;
}

std::string qos_class(const Pod& pod) {
  std::string written = pod.status()["qosClass"].text();
  return written.empty() ? "BestEffort" : written;
}

std::string pod_cgroup(const Pod& pod) {
  std::string qos = qos_class(pod);
  const char* tier = qos == "Burstable" ? "burstable/" : qos == "BestEffort" ? "besteffort/" : "";
  return std::string(tier) + "pod" + pod.uid();
}

int64_t cpu_shares(int64_t milli) {
  return std::clamp(milli * 1024 / 1000, kMinShares, kMaxShares);
}

runtime::Resources pod_group_resources(const Pod& pod) {
  runtime::Resources r;
  r.cpu_shares = kMinShares;
  std::string qos = qos_class(pod);
  if (qos == "BestEffort") return r;
  Amounts requests = sum_of(pod, "requests"), limits = sum_of(pod, "limits");
  r.cpu_shares = cpu_shares(requests["cpu"].milli_value());
  bool guaranteed = qos == "Guaranteed";
  if (guaranteed || limited(pod, "cpu", true)) set_quota(r, limits["cpu"].milli_value());
  if (guaranteed || limited(pod, "memory", true)) r.memory_limit_bytes = limits["memory"].value();
  return r;
}

runtime::Resources container_resources(const Pod& pod, const ContainerSpec& container,
                                       int64_t node_memory_bytes) {
  runtime::Resources r;
  const Value& request = requests_of(container)["cpu"];
  int64_t limit_milli = milli(effective_limit(pod, container, "cpu"));
  r.cpu_shares = cpu_shares(request.is_null() ? limit_milli : milli(request));
  set_quota(r, limit_milli);
  r.memory_limit_bytes = whole(effective_limit(pod, container, "memory"));
  r.memory_swap_limit_bytes = r.memory_limit_bytes;  // the limit includes swap: none
  r.oom_score_adj = static_cast<int>(oom_score(pod, container, node_memory_bytes));
  return r;
}

}  // namespace knarr::agent
