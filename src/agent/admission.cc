#include "agent/admission.h"

#include <array>
#include <string_view>

#include "agent/pod_resources.h"
#include "api/quantity.h"
#include "base/format.h"

namespace knarr::agent {

using api::Quantity;
using json::Value;

namespace {

// Sysctls that are the pod's alone and cannot hurt others.
constexpr std::array<std::string_view, 12> kSafeSysctls = {"kernel.shm_rmid_forced",
                                                           "net.ipv4.ip_local_port_range",
                                                           "net.ipv4.tcp_syncookies",
                                                           "net.ipv4.ping_group_range",
                                                           "net.ipv4.ip_unprivileged_port_start",
                                                           "net.ipv4.ip_local_reserved_ports",
                                                           "net.ipv4.tcp_keepalive_time",
                                                           "net.ipv4.tcp_fin_timeout",
                                                           "net.ipv4.tcp_keepalive_intvl",
                                                           "net.ipv4.tcp_keepalive_probes",
                                                           "net.ipv4.tcp_rmem",
                                                           "net.ipv4.tcp_wmem"};

Admission admit_sysctls(const Pod& pod) {
  for (const Value& s : pod.spec()["securityContext"]["sysctls"].elements()) {
    std::string name = s["name"].text();
    std::string dotted = name;
    for (char& c : dotted) c = c == '/' ? '.' : c;
    bool safe = false;
    for (std::string_view allowed : kSafeSysctls) safe |= dotted == allowed;
    bool shared = (pod.host_network() && dotted.rfind("net.", 0) == 0) ||
                  (pod.spec()["hostIPC"].as_bool() && dotted.rfind("kernel.shm", 0) == 0);
    if (!safe || shared) {
      return {"SysctlForbidden", fmt::format("forbidden sysctl: \"{}\" not allowlisted", name)};
    }
  }
  return {};
}

// This node knows no profiles, so it is as one whose kernel has none.
Admission admit_app_armor(const Pod& pod) {
  auto type_of = [](const Value& of) {
    return of["securityContext"]["appArmorProfile"]["type"].as_string();
  };
  for (const ContainerSpec& c : pod.containers()) {
    std::string_view own = type_of(*c.spec);
    std::string_view type = own.empty() ? type_of(pod.spec()) : own;
    if (type.empty() || type == "Unconfined") continue;
    return {"AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"};
  }
  return {};
}

Admission admit_selector(const Pod& pod, const NodeRoom& room) {
  for (auto [key, value] : pod.spec()["nodeSelector"].members()) {
    const Value* label = room.labels.find(key);
    if (label == nullptr || label->as_string() != value.as_string()) {
      return {"NodeAffinity",
              "Predicate NodeAffinity failed: node(s) didn't match Pod's node "
              "affinity/selector"};
    }
  }
  return {};
}

// Thousandths of processors, or bytes.
int64_t amount_of(const Value& list, std::string_view name) {
  Quantity q = api::quantity_or_zero(list[name].as_string());
  return name == "cpu" ? q.milli_value() : q.value();
}

Admission admit_resources(const Pod& pod, const NodeRoom& room) {
  int64_t most_pods = api::quantity_or_zero(room.allocatable["pods"].as_string()).value();
  if (most_pods > 0 && static_cast<int64_t>(room.pods.size()) >= most_pods) {
    return {"OutOfpods", fmt::format("Node didn't have enough resource: pods, requested: 1, used: "
                                     "{}, capacity: {}",
                                     room.pods.size(), most_pods)};
  }
  Value wanted = pod_requests(pod);
  for (const char* name : {"cpu", "memory", "ephemeral-storage"}) {
    int64_t used = 0;
    for (const PodRef& other : room.pods) used += amount_of(pod_requests(*other), name);
    int64_t capacity = amount_of(room.allocatable, name), asked = amount_of(wanted, name);
    if (asked > 0 && used + asked > capacity) {
      return {fmt::format("OutOf{}", name),
              fmt::format("Node didn't have enough resource: {}, requested: {}, used: {}, "
                          "capacity: {}",
                          name, asked, used, capacity)};
    }
  }
  return {};
}

}  // namespace

Admission admit(const Pod& pod, const NodeRoom& room) {
  for (const Admission& verdict :
       std::vector<Admission>{admit_sysctls(pod), admit_app_armor(pod), admit_selector(pod, room),
                              admit_resources(pod, room)}) {
    if (!verdict.ok()) return verdict;
  }
  return {};
}

Admission admit_resize(const Pod& pod, const NodeRoom& room) {
  Value wanted = pod_requests(pod);
  for (const char* name : {"memory", "cpu"}) {
    int64_t asked = amount_of(wanted, name), capacity = amount_of(room.allocatable, name);
    if (asked <= capacity) continue;
    return {"Infeasible",
            fmt::format("Node didn't have enough capacity: {}, requested: {}, capacity: {}", name,
                        asked, capacity)};
  }
  Admission now = admit_resources(pod, room);
  if (!now.ok()) now.reason = "Deferred";
  return now;
}

}  // namespace knarr::agent
