#include "server/registry/service_update.h"

#include <map>
#include <set>
#include <string_view>

namespace knarr::server {
namespace {

using json::Value;

std::string_view type_of(const Value& spec) { return spec["type"].as_string(); }

bool same_addresses(const Value& a, const Value& b) {
  if (a["clusterIPs"].size() != b["clusterIPs"].size()) return false;
  for (size_t i = 0; i < a["clusterIPs"].size(); i++) {
    if (!(a["clusterIPs"][i] == b["clusterIPs"][i])) return false;
  }
  return true;
}

bool reached_from_outside(const Value& spec) {
  return has_node_ports(spec) || (type_of(spec) == "ClusterIP" && spec["externalIPs"].size() > 0);
}

std::set<int64_t> node_ports(const Value& spec) {
  std::set<int64_t> out;
  for (const Value& port : spec["ports"].elements()) {
    if (int64_t p = port["nodePort"].as_int(); p != 0) out.insert(p);
  }
  return out;
}

void keep_addresses(Value& spec, const Value& before) {
  if (!is_external_name(spec) && !is_external_name(before)) {
    if (spec["clusterIP"].as_string().empty() && before.has("clusterIP")) {
      spec.set("clusterIP", before["clusterIP"]);
    }
    if (spec["clusterIPs"].size() == 0 && before.has("clusterIPs")) {
      spec.set("clusterIPs", before["clusterIPs"]);
    }
  }
  std::string_view wanted = spec["clusterIP"].as_string();
  if (wanted == before["clusterIP"].as_string()) {
    // An old client knows only the one.
    if (spec["clusterIPs"].size() == 0 && before.has("clusterIPs")) {
      spec.set("clusterIPs", before["clusterIPs"]);
    }
    return;
  }
  if (!same_addresses(spec, before)) return;
  if (wanted.empty()) {
    spec.erase("clusterIPs");
  } else {
    spec.set("clusterIPs", Value::array({spec["clusterIP"]}));
  }
}

// Ports are told apart by their names: whatever else of one changes, its node port stays.
void keep_node_ports(Value& spec, const Value& before) {
  if (!gives_node_ports(spec) || !gives_node_ports(before)) return;
  std::map<std::string_view, int64_t> by_name;
  for (const Value& port : before["ports"].elements()) {
    by_name[port["name"].as_string()] = port["nodePort"].as_int();
  }
  std::set<int64_t> had = node_ports(before);
  std::set<int64_t> named = node_ports(spec);
  Value* ports = spec.find("ports");
  if (ports == nullptr) return;
  for (Value& port : ports->elements()) {
    if (port["nodePort"].as_int() != 0) continue;
    auto it = by_name.find(port["name"].as_string());
    if (it == by_name.end() || it->second == 0) continue;
    bool used = had.count(it->second) > 0 && named.count(it->second) > 0;
    if (!used) port.set("nodePort", it->second);
  }
}

}  // namespace

bool is_external_name(const Value& spec) { return type_of(spec) == "ExternalName"; }
bool is_headless(const Value& spec) { return spec["clusterIP"].as_string() == "None"; }
bool has_node_ports(const Value& spec) {
  return type_of(spec) == "NodePort" || type_of(spec) == "LoadBalancer";
}
bool gives_node_ports(const Value& spec) {
  return type_of(spec) == "NodePort" ||
         (type_of(spec) == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"].as_bool(true));
}
bool has_health_port(const Value& spec) {
  return type_of(spec) == "LoadBalancer" && spec["externalTrafficPolicy"].as_string() == "Local";
}

void keep_allocated(Value& spec, const Value& before) {
  if (before.is_null()) {
    if (!spec["clusterIP"].as_string().empty() && spec["clusterIPs"].size() == 0) {
      spec.set("clusterIPs", Value::array({spec["clusterIP"]}));
    }
    return;
  }
  keep_addresses(spec, before);
  keep_node_ports(spec, before);
  int64_t health = before["healthCheckNodePort"].as_int();
  bool both = has_health_port(spec) && has_health_port(before);
  if (both && spec["healthCheckNodePort"].as_int() == 0 && health != 0) {
    spec.set("healthCheckNodePort", health);
  }
}

void drop_unneeded(Value& spec, const Value& before) {
  auto drop_same = [&](const char* key) {
    if (spec[key] == before[key]) spec.erase(key);
  };
  if (is_external_name(spec) && !is_external_name(before)) {
    bool same = spec["clusterIP"].as_string() == before["clusterIP"].as_string() &&
                same_addresses(spec, before);
    if (same) {
      spec.erase("clusterIP");
      spec.erase("clusterIPs");
    }
    drop_same("ipFamilies");
    drop_same("ipFamilyPolicy");
    drop_same("internalTrafficPolicy");
  }
  if (has_node_ports(before) && !has_node_ports(spec)) {
    std::set<int64_t> had = node_ports(before);
    bool fresh = false;
    for (int64_t port : node_ports(spec)) fresh = fresh || had.count(port) == 0;
    if (Value* ports = spec.find("ports"); ports != nullptr && !fresh) {
      for (Value& port : ports->elements()) port.erase("nodePort");
    }
  }
  if (has_health_port(before) && !has_health_port(spec)) drop_same("healthCheckNodePort");
  if (type_of(before) == "LoadBalancer" && type_of(spec) != "LoadBalancer") {
    drop_same("allocateLoadBalancerNodePorts");
    drop_same("loadBalancerClass");
  }
  if (reached_from_outside(before) && !reached_from_outside(spec)) {
    drop_same("externalTrafficPolicy");
  }
}

}  // namespace knarr::server
