#include "api/duration.h"
#include "api/quantity.h"
#include "base/format.h"
#include "cli/kubectl/describe_text.h"
#include "cli/kubectl/json_text.h"
#include "cli/kubectl/jsonpath.h"

namespace knarr::kubectl {

namespace {

using json::Value;

int64_t amount(const Value& quantity, bool milli) {
  auto parsed = api::Quantity::parse(value_text(quantity));
  if (!parsed.ok()) return 0;
  return milli ? parsed->milli_value() : parsed->value();
}

// What all containers of a pod ask for, of one resource: "requests" or "limits".
int64_t pod_amount(const Value& pod, const char* kind, const char* resource, bool milli) {
  int64_t total = 0;
  for (const Value& container : pod["spec"]["containers"].elements()) {
    const Value& asked = container["resources"][kind][resource];
    if (!asked.is_null()) total += amount(asked, milli);
  }
  return total;
}

std::string share(int64_t part, int64_t whole) {
  return fmt::format("({}%)", whole > 0 ? part * 100 / whole : 0);
}

std::string cpu_text(int64_t milli) { return api::Quantity::milli(milli).text(); }
std::string memory_text(int64_t bytes) {
  return api::Quantity(bytes, api::Quantity::Format::kBinarySi).text();
}

std::string pods_lines(const Value& node, const Value& pods, int64_t now_us) {
  const Value& allocatable = node["status"]["allocatable"];
  int64_t cpu = amount(allocatable["cpu"], true);
  int64_t memory = amount(allocatable["memory"], false);
  int64_t storage = amount(allocatable["ephemeral-storage"], false);
  int64_t sums[6] = {};
  std::string rows;
  size_t count = 0;
  for (const Value& pod : pods.elements()) {
    std::string_view phase = pod["status"]["phase"].as_string();
    if (phase == "Succeeded" || phase == "Failed") continue;
    count++;
    int64_t amounts[6] = {pod_amount(pod, "requests", "cpu", true),
                          pod_amount(pod, "limits", "cpu", true),
                          pod_amount(pod, "requests", "memory", false),
                          pod_amount(pod, "limits", "memory", false),
                          pod_amount(pod, "requests", "ephemeral-storage", false),
                          pod_amount(pod, "limits", "ephemeral-storage", false)};
    for (int i = 0; i < 6; i++) sums[i] += amounts[i];
    const Value& metadata = pod["metadata"];
    rows += fmt::format("  {}\t{}\t\t{} {}\t{} {}\t{} {}\t{} {}\t{}\n",
                        metadata["namespace"].as_string(), metadata["name"].as_string(),
                        cpu_text(amounts[0]), share(amounts[0], cpu), cpu_text(amounts[1]),
                        share(amounts[1], cpu), memory_text(amounts[2]), share(amounts[2], memory),
                        memory_text(amounts[3]), share(amounts[3], memory),
                        api::age(metadata["creationTimestamp"].as_string(), now_us));
  }
  std::string out = fmt::format("Non-terminated Pods:\t({} in total)\n", count);
  out +=
      "  Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge\n"
      "  ---------\t----\t\t------------\t----------\t---------------\t-------------\t---\n";
  out += rows;
  out +=
      "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)\n"
      "  Resource\tRequests\tLimits\n  --------\t--------\t------\n";
  out += fmt::format("  cpu\t{} {}\t{} {}\n", cpu_text(sums[0]), share(sums[0], cpu),
                     cpu_text(sums[1]), share(sums[1], cpu));
  out += fmt::format("  memory\t{} {}\t{} {}\n", memory_text(sums[2]), share(sums[2], memory),
                     memory_text(sums[3]), share(sums[3], memory));
  return out + fmt::format("  ephemeral-storage\t{} {}\t{} {}\n", memory_text(sums[4]),
                           share(sums[4], storage), memory_text(sums[5]), share(sums[5], storage));
}

std::string roles(const Value& labels) {
  constexpr std::string_view kRole = "node-role.kubernetes.io/";
  std::string out;
  for (const json::Member& label : sorted_members(labels)) {
    if (!label.key.starts_with(kRole)) continue;
    out += (out.empty() ? "" : ",") + std::string(label.key.substr(kRole.size()));
  }
  return out.empty() ? "<none>" : out;
}

std::string info_lines(const Value& info) {
  constexpr const char* kLines[][2] = {{"machineID", "Machine ID"},
                                       {"systemUUID", "System UUID"},
                                       {"bootID", "Boot ID"},
                                       {"kernelVersion", "Kernel Version"},
                                       {"osImage", "OS Image"},
                                       {"operatingSystem", "Operating System"},
                                       {"architecture", "Architecture"},
                                       {"containerRuntimeVersion", "Container Runtime Version"},
                                       {"kubeletVersion", "Kubelet Version"},
                                       {"kubeProxyVersion", "Kube-Proxy Version"}};
  std::string out = "System Info:\n";
  for (const auto& [key, title] : kLines) {
    out += fmt::format("  {}:\t{}\n", title, info[key].as_string());
  }
  return out;
}

}  // namespace

std::string describe_node(const Value& node, const Value& pods, const Value& lease,
                          int64_t now_us) {
  const Value& metadata = node["metadata"];
  const Value& status = node["status"];
  std::string out = fmt::format("Name:\t{}\nRoles:\t{}\n", metadata["name"].as_string(),
                                roles(metadata["labels"]));
  out += describe_map("Labels", metadata["labels"], "=");
  out += describe_map("Annotations", metadata["annotations"], ": ");
  out += fmt::format("CreationTimestamp:\t{}\n",
                     describe_time(metadata["creationTimestamp"].as_string()));
  out += "Taints:\t";
  bool first = true;
  for (const Value& taint : node["spec"]["taints"].elements()) {
    if (!first) out += '\t';
    first = false;
    out += taint["key"].text();
    if (taint["value"].is_string()) out += "=" + taint["value"].text();
    out += ":" + taint["effect"].text() + "\n";
  }
  if (first) out += "<none>\n";
  out += fmt::format("Unschedulable:\t{}\n", node["spec"]["unschedulable"].as_bool());
  const Value& held = lease["spec"];
  if (held.is_object()) {
    out += fmt::format("Lease:\n  HolderIdentity:\t{}\n  AcquireTime:\t{}\n  RenewTime:\t{}\n",
                       held["holderIdentity"].as_string("<unset>"),
                       describe_time(held["acquireTime"].as_string()),
                       describe_time(held["renewTime"].as_string()));
  }
  if (!status["conditions"].empty()) {
    out +=
        "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n"
        "  ----\t------\t-----------------\t------------------\t------\t-------\n";
    for (const Value& condition : status["conditions"].elements()) {
      out += fmt::format("  {} \t{} \t{} \t{} \t{} \t{}\n", condition["type"].as_string(),
                         condition["status"].as_string(),
                         describe_time(condition["lastHeartbeatTime"].as_string()),
                         describe_time(condition["lastTransitionTime"].as_string()),
                         condition["reason"].as_string(), condition["message"].as_string());
    }
  }
  out += "Addresses:\n";
  for (const Value& address : status["addresses"].elements()) {
    out += fmt::format("  {}:\t{}\n", address["type"].as_string(), address["address"].as_string());
  }
  for (auto [key, title] :
       {std::pair("capacity", "Capacity"), std::pair("allocatable", "Allocatable")}) {
    if (!status[key].empty()) out += fmt::format("{}:\n", title);
    for (const json::Member& member : sorted_members(status[key])) {
      out += fmt::format("  {}:\t{}\n", member.key, value_text(member.value));
    }
  }
  out += info_lines(status["nodeInfo"]);
  if (node["spec"]["podCIDR"].is_string()) {
    out += fmt::format("PodCIDR:\t{}\n", node["spec"]["podCIDR"].as_string());
    std::string all;
    for (const Value& range : node["spec"]["podCIDRs"].elements()) {
      all += (all.empty() ? "" : ",") + range.text();
    }
    out += fmt::format("PodCIDRs:\t{}\n", all);
  }
  return out + pods_lines(node, pods, now_us);
}

}  // namespace knarr::kubectl
