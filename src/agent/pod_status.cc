#include "agent/pod_status.h"

#include <algorithm>

#include "agent/pod_resources.h"
#include "api/ip_list.h"
#include "base/time.h"

namespace knarr::agent {

using json::Value;

namespace {

enum class Phase { kPending, kRunning, kSucceeded, kFailed };

const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kPending: return "Pending";
    case Phase::kRunning: return "Running";
    case Phase::kSucceeded: return "Succeeded";
    case Phase::kFailed: return "Failed";
  }
  return "Unknown";
}

bool exited(const ContainerRecord& r) {
  return r.current && r.current->state == runtime::ContainerState::kExited;
}

bool running(const ContainerRecord& r) {
  return r.current && r.current->state == runtime::ContainerState::kRunning;
}

// --- one container ---

std::string time_of(int64_t ns) { return base::format_time(ns / 1000); }

Value terminated(const runtime::ContainerStatus& c, const std::string& message,
                 const std::string& runtime_name) {
  Value t = Value::object({{"exitCode", c.exit_code}});
  t.set("reason", c.reason.empty() ? (c.exit_code == 0 ? "Completed" : "Error") : c.reason.c_str());
  const std::string& text = message.empty() ? c.message : message;
  if (!text.empty()) t.set("message", text);
  t.set("startedAt", c.started_at_ns > 0 ? Value(time_of(c.started_at_ns)) : Value());
  t.set("finishedAt", time_of(c.finished_at_ns));
  t.set("containerID", runtime_name + "://" + c.id);
  return Value::object({{"terminated", t}});
}

Value waiting(const std::string& reason, const std::string& message) {
  Value w = Value::object({{"reason", reason}});
  if (!message.empty()) w.set("message", message);
  return Value::object({{"waiting", w}});
}

Value state_of(const ContainerRecord& r, const char* default_waiting,
               const std::string& runtime_name) {
  if (!r.waiting_reason.empty()) return waiting(r.waiting_reason, r.waiting_message);
  if (running(r)) {
    Value started = Value::object({{"startedAt", time_of(r.current->started_at_ns)}});
    return Value::object({{"running", started}});
  }
  if (exited(r)) return terminated(*r.current, r.exit_message, runtime_name);
  return waiting(default_waiting, "");
}

Value last_state_of(const ContainerRecord& r, const std::string& runtime_name) {
  if (!r.waiting_reason.empty() && exited(r)) {
    return terminated(*r.current, r.exit_message, runtime_name);
  }
  if (r.last) return terminated(*r.last, r.last_message, runtime_name);
  return Value::object();
}

Value mounts_of(const Value& container) {
  Value mounts = Value::array();
  for (const Value& m : container["volumeMounts"].elements()) {
    Value mount = Value::object({{"name", m["name"]}, {"mountPath", m["mountPath"]}});
    if (m["readOnly"].as_bool()) {
      mount.set("readOnly", true);
      bool recursive = m["recursiveReadOnly"].as_string("Disabled") != "Disabled";
      mount.set("recursiveReadOnly", recursive ? "Enabled" : "Disabled");
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

bool shown_ready(const ContainerSpec& spec, const ContainerRecord& r) {
  if (spec.kind == ContainerKind::kEphemeral) return false;
  if (spec.kind == ContainerKind::kInit) return exited(r) && r.current->exit_code == 0;
  return running(r) && r.ready;
}

std::string image_id_of(const ContainerRecord& r) {
  if (!r.current) return "";
  return r.current->image_digest.empty() ? r.current->image_id : r.current->image_digest;
}

Value container_status(const ContainerSpec& spec, const ContainerRecord& r,
                       const char* default_waiting, const std::string& runtime_name) {
  Value s = Value::object({{"name", spec.name}});
  s.set("state", state_of(r, default_waiting, runtime_name));
  s.set("lastState", last_state_of(r, runtime_name));
  s.set("ready", shown_ready(spec, r));
  s.set("restartCount", r.restart_count);
  bool known = r.current && !r.current->image_ref.empty();
  s.set("image", known ? Value(r.current->image_ref) : (*spec.spec)["image"]);
  s.set("imageID", image_id_of(r));
  if (r.current) s.set("containerID", runtime_name + "://" + r.current->id);
  if (spec.kind != ContainerKind::kEphemeral) s.set("started", running(r) && r.started);
  const Value& resources = (*spec.spec)["resources"];
  const Value& applied = r.resources.is_null() ? resources : r.resources;
  if (running(r)) s.set("resources", applied.is_object() ? applied : Value::object());
  if (const Value& requests = resources["requests"]; !requests.empty() && r.current) {
    s.set("allocatedResources", requests);
  }
  if (Value mounts = mounts_of(*spec.spec); !mounts.empty()) s.set("volumeMounts", mounts);
  return s;
}

// --- the pod ---

Phase phase_of(const Pod& pod, const Observation& seen, bool initialized) {
  if (seen.rejected || seen.failed) return Phase::kFailed;
  size_t waits = 0, runs = 0, stopped = 0, succeeded = 0;
  bool init_failed = false;
  for (size_t i = 0; i < seen.containers.size(); i++) {
    const ContainerRecord& r = seen.containers[i];
    ContainerKind kind = pod.containers()[i].kind;
    if (kind == ContainerKind::kEphemeral) continue;
    if (is_init(kind)) {
      init_failed |= exited(r) && r.current->exit_code != 0;
    } else if (running(r)) {
      runs++;
    } else if (exited(r)) {
      stopped++;
      if (r.current->exit_code == 0) succeeded++;
    } else if (r.last) {
      stopped++;
    } else {
      waits++;
    }
  }
  if (!initialized) return seen.over && init_failed ? Phase::kFailed : Phase::kPending;
  if (waits > 0) return Phase::kPending;
  if (runs > 0) return Phase::kRunning;
  if (stopped == 0) return Phase::kPending;
  if (!seen.over) return Phase::kRunning;
  return stopped == succeeded ? Phase::kSucceeded : Phase::kFailed;
}

struct Condition {
  const char* type;
  bool status = false;
  std::string reason;
  std::string message;
  int64_t generation = 0;  // 0: the pod's
};

std::string names_text(const std::vector<std::string>& names) {
  std::string text = "[";
  for (const std::string& name : names) text += (text.size() > 1 ? " " : "") + name;
  return text + "]";
}

Condition initialized_condition(const Pod& pod, const Observation& seen, bool initialized,
                                Phase phase) {
  if (initialized)
    return {"Initialized", true, phase == Phase::kSucceeded ? "PodCompleted" : "", ""};
  std::vector<std::string> incomplete;
  for (size_t i = 0; i < seen.containers.size(); i++) {
    const ContainerSpec& spec = pod.containers()[i];
    if (!is_init(spec.kind)) continue;
    bool done = spec.kind == ContainerKind::kInit ? shown_ready(spec, seen.containers[i])
                                                  : seen.containers[i].started;
    if (!done) incomplete.push_back(spec.name);
  }
  return {"Initialized", false, "ContainersNotInitialized",
          "containers with incomplete status: " + names_text(incomplete)};
}

Condition containers_ready(const Pod& pod, const Observation& seen, Phase phase) {
  if (phase == Phase::kSucceeded) return {"ContainersReady", false, "PodCompleted", ""};
  if (phase == Phase::kFailed) return {"ContainersReady", false, "PodFailed", ""};
  std::vector<std::string> unready;
  for (size_t i = 0; i < seen.containers.size(); i++) {
    const ContainerSpec& spec = pod.containers()[i];
    if (!resizable(spec.kind)) continue;
    if (!shown_ready(spec, seen.containers[i])) unready.push_back(spec.name);
  }
  if (unready.empty()) return {"ContainersReady", true, "", ""};
  return {"ContainersReady", false, "ContainersNotReady",
          "containers with unready status: " + names_text(unready)};
}

const Value* find_condition(const Value& status, std::string_view type) {
  for (const Value& c : status["conditions"].elements()) {
    if (c["type"].as_string() == type) return &c;
  }
  return nullptr;
}

// Ready is ContainersReady and every readiness gate.
Condition pod_ready(const Pod& pod, const Condition& containers) {
  Condition ready = containers;
  ready.type = "Ready";
  if (!containers.status) return ready;
  for (const Value& gate : pod.spec()["readinessGates"].elements()) {
    std::string type = gate["conditionType"].text();
    const Value* condition = find_condition(pod.status(), type);
    if (condition != nullptr && (*condition)["status"].as_string() == "True") continue;
    std::string why =
        condition == nullptr
            ? "corresponding condition of pod readiness gate \"" + type + "\" does not exist."
            : "the status of pod readiness gate \"" + type + "\" is not \"True\", but " +
                  (*condition)["status"].text();
    ready.status = false;
    ready.reason = "ReadinessGatesNotReady";
    ready.message += (ready.message.empty() ? "" : ", ") + why;
  }
  return ready;
}

Value condition_value(const Pod& pod, const Condition& condition, const Observation& seen) {
  const char* status = condition.status ? "True" : "False";
  Value v = Value::object({{"type", condition.type}});
  if (condition.generation > 0) {
    v.set("observedGeneration", condition.generation);
  } else if (const Value& generation = pod.metadata()["generation"]; generation.is_integer()) {
    v.set("observedGeneration", generation);
  }
  v.set("status", status).set("lastProbeTime", nullptr);
  const Value* before = find_condition(pod.status(), condition.type);
  bool same = before != nullptr && (*before)["status"].as_string() == status;
  v.set("lastTransitionTime",
        same ? (*before)["lastTransitionTime"] : Value(base::format_time(seen.now_us)));
  if (!condition.reason.empty()) v.set("reason", condition.reason);
  if (!condition.message.empty()) v.set("message", condition.message);
  return v;
}

bool owned_by_agent(std::string_view type) {
  return type == "Ready" || type == "ContainersReady" || type == "Initialized" ||
         type == "PodReadyToStartContainers" || type == "PodScheduled" ||
         type == "PodResizePending" || type == "PodResizeInProgress";
}

Value conditions_of(const Pod& pod, const Observation& seen, bool initialized, Phase phase) {
  Value list = Value::array();
  Condition containers = containers_ready(pod, seen, phase);
  bool terminal = phase == Phase::kSucceeded || phase == Phase::kFailed;
  bool sandbox = seen.sandbox_ready && !(terminal && seen.over);
  std::vector<Condition> own;
  own.push_back({"PodReadyToStartContainers", sandbox, "", "", 0});
  own.push_back(initialized_condition(pod, seen, initialized, phase));
  own.push_back(pod_ready(pod, containers));
  own.push_back(std::move(containers));
  own.push_back({"PodScheduled", true, "", "", 0});
  if (seen.evicted) {
    own.push_back({"DisruptionTarget", true, "TerminationByKubelet", seen.message});
  }
  if (const auto& note = seen.resize_pending) {
    own.push_back({"PodResizePending", true, note->reason, note->message, note->generation});
  }
  if (const auto& note = seen.resize_progress) {
    own.push_back({"PodResizeInProgress", true, note->reason, note->message, note->generation});
  }
  for (const Condition& c : own) {
    list.push_back(condition_value(pod, c, seen));
  }
  for (const Value& c : pod.status()["conditions"].elements()) {
    std::string_view type = c["type"].as_string();
    if (owned_by_agent(type) || (seen.evicted && type == "DisruptionTarget")) continue;
    list.push_back(c);
  }
  return list;
}

Value ip_list(const std::vector<std::string>& ips) {
  Value list = Value::array();
  for (const std::string& ip : ips) list.push_back(Value::object({{"ip", ip}}));
  return list;
}

void set_addresses(Value& status, const Pod& pod, const Observation& seen) {
  if (!seen.host_ips.empty()) {
    status.set("hostIP", seen.host_ips[0]);
    status.set("hostIPs", ip_list(seen.host_ips));
  }
  std::vector<std::string> ips = seen.pod_ips;
  if (ips.empty()) {  // what was known stays, so that a finished pod keeps its address
    for (const Value& ip : pod.status()["podIPs"].elements()) ips.push_back(ip["ip"].text());
  }
  if (ips.empty()) return;
  status.set("podIP", ips[0]);
  status.set("podIPs", ip_list(ips));
}

void set_containers(Value& status, const Pod& pod, const Observation& seen) {
  bool has_init = !pod.containers().empty() && is_init(pod.containers()[0].kind);
  const char* waiting_for = has_init ? "PodInitializing" : "ContainerCreating";
  status.set("containerStatuses", Value::array());
  for (size_t i = 0; i < seen.containers.size(); i++) {
    const ContainerSpec& spec = pod.containers()[i];
    Value s = container_status(spec, seen.containers[i], waiting_for, seen.runtime_name);
    const char* list = lists_of(spec.kind).status;
    if (!status.has(list)) status.set(list, Value::array());
    status.member(list).push_back(std::move(s));
  }
}

Value base_status(const Pod& pod, const Observation& seen, Phase phase) {
  Value status = Value::object();
  if (const Value& generation = pod.metadata()["generation"]; generation.is_integer()) {
    status.set("observedGeneration", generation);
  }
  status.set("phase", phase_name(phase));
  if (!seen.message.empty()) status.set("message", seen.message);
  if (!seen.reason.empty()) status.set("reason", seen.reason);
  for (const char* kept : {"qosClass", "nominatedNodeName", "resize"}) {
    if (const Value* v = pod.status().find(kept)) status.set(kept, *v);
  }
  if (seen.start_time_us > 0) status.set("startTime", base::format_time(seen.start_time_us));
  return status;
}

// KEP-5307: the first rule that knows the exit code decides.
bool rule_restarts(const ContainerSpec& spec, int exit_code) {
  for (const Value& rule : (*spec.spec)["restartPolicyRules"].elements()) {
    bool listed = false;
    for (const Value& code : rule["exitCodes"]["values"].elements()) {
      listed |= code.as_int(-1) == exit_code;
    }
    if (listed != (rule["exitCodes"]["operator"].as_string() == "In")) continue;
    return rule["action"].as_string() == "Restart";
  }
  return false;
}

}  // namespace

ContainerFacts facts_of(const ContainerSpec& spec, const ContainerRecord& r) {
  ContainerFacts f;
  f.kind = spec.kind;
  f.restart_policy = spec.restart_policy;
  f.started = r.started;
  f.killed = r.killed;
  if (!r.current) return f;
  f.state = exited(r) ? RunState::kExited : RunState::kRunning;
  f.exit_code = r.current->exit_code;
  f.rule_restarts = exited(r) && rule_restarts(spec, f.exit_code);
  return f;
}

std::vector<ContainerFacts> facts_of(const Pod& pod, const std::vector<ContainerRecord>& records) {
  std::vector<ContainerFacts> facts;
  for (size_t i = 0; i < records.size(); i++) {
    facts.push_back(facts_of(pod.containers()[i], records[i]));
  }
  return facts;
}

Value make_status(const Pod& pod, const Observation& seen) {
  if (seen.rejected) return base_status(pod, seen, Phase::kFailed);
  bool initialized = decide(facts_of(pod, seen.containers)).initialized;
  Phase phase = phase_of(pod, seen, initialized);
  Value status = base_status(pod, seen, phase);
  status.set("conditions", conditions_of(pod, seen, initialized, phase));
  set_addresses(status, pod, seen);
  set_containers(status, pod, seen);
  if (Value requests = pod_requests(pod); !requests.empty()) {
    status.set("allocatedResources", requests);
    if (phase == Phase::kRunning) status.set("resources", pod_resources(pod));
  }
  return status;
}

std::vector<std::string> shown_ips(const std::vector<std::string>& all,
                                   const std::vector<std::string>& host_ips) {
  bool v6 = !host_ips.empty() && api::is_v6(host_ips[0]);
  std::vector<std::string> out;
  for (bool family : {v6, !v6}) {
    auto first = std::find_if(all.begin(), all.end(),
                              [&](const std::string& ip) { return api::is_v6(ip) == family; });
    if (first != all.end()) out.push_back(*first);
  }
  return out;
}

}  // namespace knarr::agent
