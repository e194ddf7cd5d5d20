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

Admission admit_os(const Pod& pod, const NodeRoom& room) {
  const Value* wanted = pod.spec()["nodeSelector"].find("kubernetes.io/os");
  if (wanted != nullptr && !(*wanted == room.labels["kubernetes.io/os"])) {
    return {"PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"};
  }
  if (pod.spec()["os"]["name"].as_string("linux") == "linux") return {};
  return {"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"};
}

struct TakenPort {
  std::string protocol, host_ip;
  int64_t number = 0;
};

std::vector<TakenPort> host_ports(const Pod& pod) {
  std::vector<TakenPort> ports;
  for (const ContainerSpec& c : pod.containers()) {
    for (const Value& port : (*c.spec)["ports"].elements()) {
      int64_t number = port["hostPort"].as_int();
      if (!resizable(c.kind) || number <= 0) continue;
      std::string ip(port["hostIP"].as_string("0.0.0.0"));
      if (ip.empty()) ip = "0.0.0.0";
      ports.push_back({std::string(port["protocol"].as_string("TCP")), ip, number});
    }
  }
  return ports;
}

Admission admit_ports(const Pod& pod, const NodeRoom& room) {
  std::vector<TakenPort> wanted = host_ports(pod);
  if (wanted.empty()) return {};
  for (const PodRef& other : room.pods) {
    for (const TakenPort& a : host_ports(*other)) {
      for (const TakenPort& b : wanted) {
        bool same_ip = a.host_ip == b.host_ip || a.host_ip == "0.0.0.0" || b.host_ip == "0.0.0.0";
        if (!same_ip || a.number != b.number || a.protocol != b.protocol) continue;
        return {"NodePorts",
                "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod "
                "ports"};
      }
    }
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
  // In the order in which a kubelet looks.
  for (const Admission& verdict :
       {admit_sysctls(pod), admit_os(pod, room), admit_resources(pod, room),
        admit_selector(pod, room), admit_ports(pod, room), admit_app_armor(pod)}) {
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
