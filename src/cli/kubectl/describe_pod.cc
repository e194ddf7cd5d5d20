#include "base/format.h"
#include "cli/kubectl/describe_text.h"

namespace knarr::kubectl {

namespace {

using json::Value;

std::string controller_line(const Value& object) {
  for (const Value& owner : object["metadata"]["ownerReferences"].elements()) {
    if (!owner["controller"].as_bool()) continue;
    return fmt::format("Controlled By:\t{}/{}\n", owner["kind"].as_string(),
                       owner["name"].as_string());
  }
  return "";
}

std::string status_lines(const Value& pod) {
  const Value& status = pod["status"];
  std::string out;
  if (pod["metadata"]["deletionTimestamp"].is_string()) {
    out += fmt::format("Status:\tTerminating (lasts since {})\nTermination Grace Period:\t{}s\n",
                       pod["metadata"]["deletionTimestamp"].as_string(),
                       pod["metadata"]["deletionGracePeriodSeconds"].as_int());
  } else {
    out += fmt::format("Status:\t{}\n", status["phase"].as_string());
  }
  if (status["reason"].is_string()) {
    out += fmt::format("Reason:\t{}\n", status["reason"].as_string());
  }
  if (status["message"].is_string()) {
    out += fmt::format("Message:\t{}\n", status["message"].as_string());
  }
  out += fmt::format("IP:\t{}\n", status["podIP"].as_string());
  if (status["podIPs"].empty()) return out + "IPs:\t<none>\n";
  out += "IPs:\n";
  for (const Value& ip : status["podIPs"].elements()) {
    out += fmt::format("  IP:\t{}\n", ip["ip"].as_string());
  }
  return out;
}

}  // namespace

std::string describe_pod(const Value& pod) {
  const Value& metadata = pod["metadata"];
  const Value& spec = pod["spec"];
  const Value& status = pod["status"];
  std::string out = fmt::format("Name:\t{}\nNamespace:\t{}\n", metadata["name"].as_string(),
                                metadata["namespace"].as_string());
  if (spec["priority"].is_integer()) {
    out += fmt::format("Priority:\t{}\n", spec["priority"].as_int());
  }
  if (spec["priorityClassName"].is_string()) {
    out += fmt::format("Priority Class Name:\t{}\n", spec["priorityClassName"].as_string());
  }
  if (spec["serviceAccountName"].is_string()) {
    out += fmt::format("Service Account:\t{}\n", spec["serviceAccountName"].as_string());
  }
  if (spec["nodeName"].as_string().empty()) {
    out += "Node:\t<none>\n";
  } else {
    out +=
        fmt::format("Node:\t{}/{}\n", spec["nodeName"].as_string(), status["hostIP"].as_string());
  }
  if (status["startTime"].is_string()) {
    out += fmt::format("Start Time:\t{}\n", describe_time(status["startTime"].as_string()));
  }
  out += describe_map("Labels", metadata["labels"], "=");
  out += describe_map("Annotations", metadata["annotations"], ": ");
  out += status_lines(pod);
  out += controller_line(pod);
  Value none = Value::array();
  auto statuses = [&](const char* key) -> const Value& {
    return status[key].is_array() ? status[key] : none;
  };
  if (!spec["initContainers"].empty()) {
    out += describe_containers("Init Containers", spec["initContainers"],
                               statuses("initContainerStatuses"), "");
  }
  out += describe_containers("Containers", spec["containers"], statuses("containerStatuses"), "");
  if (!spec["ephemeralContainers"].empty()) {
    out += describe_containers("Ephemeral Containers", spec["ephemeralContainers"],
                               statuses("ephemeralContainerStatuses"), "");
  }
  if (!status["conditions"].empty()) {
    out += "Conditions:\n  Type\tStatus\n";
    for (const Value& condition : status["conditions"].elements()) {
      out += fmt::format("  {} \t{} \n", condition["type"].as_string(),
                         condition["status"].as_string());
    }
  }
  out += describe_volumes(spec["volumes"], "");
  out += fmt::format("QoS Class:\t{}\n", status["qosClass"].as_string("<none>"));
  out += describe_map("Node-Selectors", spec["nodeSelector"], "=");
  return out + describe_tolerations(spec["tolerations"], "");
}

}  // namespace knarr::kubectl
