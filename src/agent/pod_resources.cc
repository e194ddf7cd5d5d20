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
constexpr int64_t kPeriodUs = 100000;
constexpr int64_t kMinQuotaUs = 1000;

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

// An init container needs what it asks for beside the sidecars before it.
Amounts sum_of(const Pod& pod, const char* kind) {
  Amounts sidecars, most_init, sum;
  for (const ContainerSpec& c : pod.containers()) {
    const Value& list = (*c.spec)["resources"][kind];
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
  add(sum, pod.spec()["overhead"]);
  return sum;
}

}  // namespace

Value pod_requests(const Pod& pod) { return to_value(sum_of(pod, "requests")); }

Value pod_resources(const Pod& pod) {
  Amounts limits = sum_of(pod, "limits");
  for (const ContainerSpec& c : pod.containers()) {
    if (c.kind == ContainerKind::kInit) continue;
    for (auto it = limits.begin(); it != limits.end();) {
      it = (*c.spec)["resources"]["limits"].has(it->first) ? std::next(it) : limits.erase(it);
    }
  }
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

runtime::Resources container_resources(const Pod& pod, const Value& container,
                                       int64_t node_memory_bytes) {
  const Value& requests = container["resources"]["requests"];
  const Value& limits = container["resources"]["limits"];
  auto milli = [](const Value& v) { return api::quantity_or_zero(v.as_string()).milli_value(); };
  auto whole = [](const Value& v) { return api::quantity_or_zero(v.as_string()).value(); };

  runtime::Resources r;
  int64_t cpu_milli = milli(requests.has("cpu") ? requests["cpu"] : limits["cpu"]);
  r.cpu_shares = std::max(cpu_milli * 1024 / 1000, kMinShares);
  if (int64_t limit_milli = milli(limits["cpu"]); limit_milli > 0) {
    r.cpu_period_us = kPeriodUs;
    r.cpu_quota_us = std::max(limit_milli * kPeriodUs / 1000, kMinQuotaUs);
  }
  r.memory_limit_bytes = whole(limits["memory"]);
  r.memory_swap_limit_bytes = r.memory_limit_bytes;  // the limit includes swap: none
  std::string qos = qos_class(pod);
  if (qos == "Guaranteed") {
    r.oom_score_adj = -997;
  } else if (qos == "BestEffort" || node_memory_bytes <= 0) {
    r.oom_score_adj = 1000;
  } else {
    int64_t adj = 1000 - 1000 * whole(requests["memory"]) / node_memory_bytes;
    r.oom_score_adj = static_cast<int>(std::clamp<int64_t>(adj, 3, 999));
  }
  return r;
}

}  // namespace knarr::agent
