#include "agent/pod_resize.h"

#include <algorithm>

namespace knarr::agent {

using json::Value;

namespace {

const Value* status_of(const Pod& pod, const ContainerSpec& container) {
  for (const Value& s : pod.status()[lists_of(container.kind).status].elements()) {
    if (s["name"].as_string() == container.name) return &s;
  }
  return nullptr;
}

bool differs(const Value& a, const Value& b, std::string_view name) {
  return !(a["requests"][name] == b["requests"][name]) || !(a["limits"][name] == b["limits"][name]);
}

Value summary_of(const Pod& pod, bool init) {
  Value list = Value::array();
  for (const ContainerSpec& c : pod.containers()) {
    if (c.kind == ContainerKind::kEphemeral || is_init(c.kind) != init) continue;
    list.push_back(Value::object({{"name", c.name}, {"resources", resources_of(c)}}));
  }
  return list;
}

// Without empty members, which the API may or may not write.
Value plain_resources(const Value& resources) {
  Value out = Value::object();
  for (auto [name, member] : resources.members()) {
    if (!member.empty()) out.set(name, member);
  }
  return out;
}

// 0 stands for no limit at all.
int64_t larger_limit(int64_t a, int64_t b) { return a <= 0 || b <= 0 ? -1 : std::max(a, b); }

int64_t lifted(int64_t before, int64_t after) { return before > 0 && after == 0 ? -1 : after; }

}  // namespace

Value resources_of(const ContainerSpec& container) {
  return plain_resources((*container.spec)["resources"]);
}

Allocation allocation_of(const Pod& pod) {
  Allocation a;
  a.pod = pod.spec()["resources"];
  for (const ContainerSpec& c : pod.containers()) {
    if (resizable(c.kind)) a.containers[c.name] = resources_of(c);
  }
  return a;
}

Allocation told_allocation(const Pod& pod) {
  Allocation a = allocation_of(pod);
  for (const ContainerSpec& c : pod.containers()) {
    const Value* status = status_of(pod, c);
    if (!resizable(c.kind) || status == nullptr) continue;
    const Value& told = (*status)["resources"];
    if (told.is_object()) a.containers[c.name] = plain_resources(told);
  }
  return a;
}

PodRef with_allocation(const PodRef& pod, const Allocation& allocation) {
  if (allocation_of(*pod) == allocation) return pod;
  Value spec = pod->spec();
  if (allocation.pod.is_null()) {
    spec.erase("resources");
  } else {
    spec.set("resources", allocation.pod);
  }
  for (const char* list : {"initContainers", "containers"}) {
    if (!spec.has(list)) continue;
    for (Value& c : spec.member(list).elements()) {
      auto it = allocation.containers.find(c["name"].text());
      if (it != allocation.containers.end()) c.set("resources", it->second);
    }
  }
  return Pod::with_spec(*pod, std::move(spec));
}

bool resize_restarts(const ContainerSpec& container, const Value& before, const Value& after) {
  for (const Value& policy : (*container.spec)["resizePolicy"].elements()) {
    if (policy["restartPolicy"].as_string() != "RestartContainer") continue;
    if (differs(before, after, policy["resourceName"].as_string())) return true;
  }
  return false;
}

runtime::Resources both(const runtime::Resources& a, const runtime::Resources& b) {
  runtime::Resources r = b;
  r.cpu_shares = std::max(a.cpu_shares, b.cpu_shares);
  r.cpu_period_us = std::max(a.cpu_period_us, b.cpu_period_us);
  r.cpu_quota_us = larger_limit(a.cpu_quota_us, b.cpu_quota_us);
  r.memory_limit_bytes = larger_limit(a.memory_limit_bytes, b.memory_limit_bytes);
  return r;
}

runtime::Resources lifting(const runtime::Resources& before, runtime::Resources after) {
  after.cpu_quota_us = lifted(before.cpu_quota_us, after.cpu_quota_us);
  after.memory_limit_bytes = lifted(before.memory_limit_bytes, after.memory_limit_bytes);
  after.memory_swap_limit_bytes =
      lifted(before.memory_swap_limit_bytes, after.memory_swap_limit_bytes);
  return after;
}

std::string resize_summary(const Pod& pod, const std::string& error) {
  Value summary = Value::object();
  if (!pod.spec()["resources"].is_null()) summary.set("resources", pod.spec()["resources"]);
  if (Value init = summary_of(pod, true); !init.empty()) summary.set("initContainers", init);
  summary.set("containers", summary_of(pod, false));
  summary.set("generation", pod.metadata()["generation"]);
  if (!error.empty()) summary.set("error", error);
  return json::write(summary);
}

}  // namespace knarr::agent
