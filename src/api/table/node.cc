// Nodes, and what describes them: leases, runtime classes.
#include <set>

#include "api/table/columns.h"
#include "base/format.h"

namespace knarr::api::table {
namespace {

json::Value status(const json::Value& node, int64_t) {
  std::string_view ready = condition_status(node["status"]["conditions"], "Ready");
  std::string out = ready == "True" ? "Ready" : ready.empty() ? "Unknown" : "NotReady";
  if (node["spec"]["unschedulable"].as_bool()) out += ",SchedulingDisabled";
  return out;
}

json::Value roles(const json::Value& node, int64_t) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (auto [key, value] : node["metadata"]["labels"].members()) {
    if (key.substr(0, kPrefix.size()) == kPrefix && key.size() > kPrefix.size()) {
      roles.emplace(key.substr(kPrefix.size()));
    } else if (key == "kubernetes.io/role" && !value.as_string().empty()) {
      roles.insert(value.text());
    }
  }
  return roles.empty() ? "<none>" : joined({roles.begin(), roles.end()}, ",");
}

json::Value address(const json::Value& node, std::string_view type) {
  for (const json::Value& address : node["status"]["addresses"].elements()) {
    if (address["type"].as_string() == type) return address["address"].as_string();
  }
  return "<none>";
}
json::Value internal_ip(const json::Value& node, int64_t) { return address(node, "InternalIP"); }
json::Value external_ip(const json::Value& node, int64_t) { return address(node, "ExternalIP"); }

json::Value kernel(const json::Value& node, int64_t) {
  const json::Value& info = node["status"]["nodeInfo"];
  std::string_view version = info["kernelVersion"].as_string();
  std::string out(version.empty() ? "<unknown>" : version);
  std::string_view architecture = info["architecture"].as_string();
  if (!architecture.empty()) out += fmt::format(" ({})", architecture);
  return out;
}

constexpr Column kNodes[] = {
    name_column(),
    cell("Status", status),
    cell("Roles", roles),
    age_column(),
    text("Version", "status.nodeInfo.kubeletVersion"),
    cell("Internal-IP", internal_ip, "string", 1),
    cell("External-IP", external_ip, "string", 1),
    text("OS-Image", "status.nodeInfo.osImage", "<unknown>", 1),
    cell("Kernel-Version", kernel, "string", 1),
    text("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", "<unknown>", 1),
};
constexpr Column kLeases[] = {name_column(), text("Holder", "spec.holderIdentity"), age_column()};
constexpr Column kRuntimeClasses[] = {name_column(), text("Handler", "handler"), age_column()};

constexpr ResourceTable kTables[] = {
    {"", "nodes", kNodes},
    {"coordination.k8s.io", "leases", kLeases},
    {"node.k8s.io", "runtimeclasses", kRuntimeClasses},
};

}  // namespace

std::span<const ResourceTable> node_tables() { return kTables; }

}  // namespace knarr::api::table
