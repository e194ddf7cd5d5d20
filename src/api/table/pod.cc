// Pods: one word for all that a kubelet says, the ready count, the restarts.
#include "api/duration.h"
#include "api/table/columns.h"
#include "base/format.h"
#include "base/time.h"

namespace knarr::api::table {
namespace {

struct Summary {
  std::string reason;
  int64_t ready = 0;
  int64_t total = 0;
  int64_t restarts = 0;
  std::string_view last_restart;  // when the latest of them ended; empty when unknown
};

bool is_restartable_init(const json::Value& spec, std::string_view name) {
  for (const json::Value& container : spec["initContainers"].elements()) {
    if (container["name"].as_string() == name) {
      return container["restartPolicy"].as_string() == "Always";
    }
  }
  return false;
}

// RFC 3339 in UTC sorts as text.
void note_termination(const json::Value& status, std::string_view& latest) {
  std::string_view at = status["lastState"]["terminated"]["finishedAt"].as_string();
  if (at > latest) latest = at;
}

std::string terminated_reason(const json::Value& terminated) {
  std::string_view reason = terminated["reason"].as_string();
  if (!reason.empty()) return std::string(reason);
  int64_t signal = terminated["signal"].as_int();
  return signal != 0 ? fmt::format("Signal:{}", signal)
                     : fmt::format("ExitCode:{}", terminated["exitCode"].as_int());
}

// Walks the init containers; true when one of them still decides what the pod is.
bool scan_init(const json::Value& pod, Summary& out, int64_t& sidecar_restarts,
               std::string_view& sidecar_last) {
  const json::Value& statuses = pod["status"]["initContainerStatuses"];
  size_t i = 0;
  for (const json::Value& status : statuses.elements()) {
    bool sidecar = is_restartable_init(pod["spec"], status["name"].as_string());
    out.restarts += status["restartCount"].as_int();
    note_termination(status, out.last_restart);
    if (sidecar) {
      sidecar_restarts += status["restartCount"].as_int();
      note_termination(status, sidecar_last);
    }
    const json::Value& state = status["state"];
    const json::Value& terminated = state["terminated"];
    size_t index = i++;
    if (terminated.is_object() && terminated["exitCode"].as_int() == 0) continue;
    if (sidecar && status["started"].as_bool()) {
      if (status["ready"].as_bool()) out.ready++;
      continue;
    }
    std::string_view waiting = state["waiting"]["reason"].as_string();
    if (terminated.is_object()) {
      out.reason = "Init:" + terminated_reason(terminated);
    } else if (!waiting.empty() && waiting != "PodInitializing") {
      out.reason = fmt::format("Init:{}", waiting);
    } else {
      out.reason = fmt::format("Init:{}/{}", index, pod["spec"]["initContainers"].size());
    }
    return true;
  }
  return false;
}

void scan_main(const json::Value& pod, Summary& out) {
  const json::Value& statuses = pod["status"]["containerStatuses"];
  bool running = false;
  std::string error_reason;
  for (size_t i = statuses.size(); i-- > 0;) {
    const json::Value& status = statuses[i];
    out.restarts += status["restartCount"].as_int();
    note_termination(status, out.last_restart);
    const json::Value& state = status["state"];
    std::string_view waiting = state["waiting"]["reason"].as_string();
    if (!waiting.empty()) {
      out.reason = waiting;
    } else if (state["terminated"].is_object()) {
      out.reason = terminated_reason(state["terminated"]);
      if (state["terminated"]["exitCode"].as_int() != 0) error_reason = out.reason;
    } else if (status["ready"].as_bool() && state["running"].is_object()) {
      running = true;
      out.ready++;
    }
  }
  if (out.reason != "Completed") return;
  bool pod_ready = condition_status(pod["status"]["conditions"], "Ready") == "True";
  if (running && pod_ready) {
    out.reason = "Running";
  } else if (!error_reason.empty()) {
    out.reason = error_reason;
  } else if (running) {
    out.reason = "NotReady";
  }
}

Summary summarize(const json::Value& pod) {
  Summary out;
  const json::Value& status = pod["status"];
  out.total = static_cast<int64_t>(pod["spec"]["containers"].size());
  for (const json::Value& container : pod["spec"]["initContainers"].elements()) {
    if (container["restartPolicy"].as_string() == "Always") out.total++;
  }
  out.reason = status["phase"].text();
  if (!status["reason"].as_string().empty()) out.reason = status["reason"].text();
  for (const json::Value& condition : status["conditions"].elements()) {
    if (condition["type"].as_string() == "PodScheduled" &&
        condition["reason"].as_string() == "SchedulingGated") {
      out.reason = "SchedulingGated";
    }
  }
  int64_t sidecar_restarts = 0;
  std::string_view sidecar_last;
  bool initializing = scan_init(pod, out, sidecar_restarts, sidecar_last);
  if (!initializing || condition_status(status["conditions"], "Initialized") == "True") {
    out.restarts = sidecar_restarts;
    out.last_restart = sidecar_last;
    scan_main(pod, out);
  }
  if (!pod["metadata"]["deletionTimestamp"].is_null()) {
    std::string_view phase = status["phase"].as_string();
    if (status["reason"].as_string() == "NodeLost") {
      out.reason = "Unknown";
    } else if (phase != "Succeeded" && phase != "Failed") {
      out.reason = "Terminating";
    }
  }
  return out;
}

json::Value ready(const json::Value& pod, int64_t) {
  Summary s = summarize(pod);
  return fmt::format("{}/{}", s.ready, s.total);
}

json::Value status(const json::Value& pod, int64_t) { return summarize(pod).reason; }

json::Value restarts(const json::Value& pod, int64_t now_us) {
  Summary s = summarize(pod);
  if (s.restarts == 0 || s.last_restart.empty()) return std::to_string(s.restarts);
  return fmt::format("{} ({} ago)", s.restarts, age(s.last_restart, now_us));
}

json::Value pod_ip(const json::Value& pod, int64_t) {
  std::string_view ip = pod["status"]["podIPs"][0]["ip"].as_string();
  return ip.empty() ? "<none>" : ip;
}

json::Value readiness_gates(const json::Value& pod, int64_t) {
  const json::Value& gates = pod["spec"]["readinessGates"];
  if (gates.empty()) return "<none>";
  int64_t met = 0;
  for (const json::Value& gate : gates.elements()) {
    met +=
        condition_status(pod["status"]["conditions"], gate["conditionType"].as_string()) == "True";
  }
  return fmt::format("{}/{}", met, gates.size());
}

json::Value template_names(const json::Value& object, int64_t) {
  return container_names(object["template"]["spec"]);
}
json::Value template_images(const json::Value& object, int64_t) {
  return container_images(object["template"]["spec"]);
}
json::Value template_labels(const json::Value& object, int64_t) {
  return label_list(object["template"]["metadata"]["labels"]);
}

constexpr Column kPods[] = {
    name_column(),
    cell("Ready", ready),
    cell("Status", status),
    cell("Restarts", restarts),
    age_column(),
    cell("IP", pod_ip, "string", 1),
    text("Node", "spec.nodeName", "<none>", 1),
    text("Nominated Node", "status.nominatedNodeName", "<none>", 1),
    cell("Readiness Gates", readiness_gates, "string", 1),
};

constexpr Column kPodTemplates[] = {
    name_column(),
    cell("Containers", template_names),
    cell("Images", template_images),
    cell("Pod Labels", template_labels),
};

constexpr ResourceTable kTables[] = {
    {"", "pods", kPods},
    {"", "podtemplates", kPodTemplates},
};

}  // namespace

std::span<const ResourceTable> pod_tables() { return kTables; }

}  // namespace knarr::api::table
