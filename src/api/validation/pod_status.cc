// The status of pods.
#include <set>

#include "api/ip.h"
#include "api/validation/internal.h"
#include "api/validation/pod.h"
#include "api/validation/pod_object.h"

namespace knarr::api::rules {
namespace {

void addresses(const Value& list, const char* type, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& one : list.elements()) ip_address(one["ip"], path[i++], errors);
  if (list.size() < 2) return;
  auto a = IpAddress::parse(list[0]["ip"].as_string());
  auto b = IpAddress::parse(list[1]["ip"].as_string());
  if (list.size() > 2 || (a && b && a->v6 == b->v6)) {
    Value shown = Value::array();
    for (const Value& one : list.elements()) shown.push_back(internal_value("", "v1", type, one));
    errors.invalid(path, shown, "may specify no more than one IP for each IP family");
  }
}

void host_addresses(const Value& status, const Path& path, ErrorList& errors) {
  const Value& list = status["hostIPs"];
  if (list.empty()) return;
  if (!same(status["hostIP"], list[0]["ip"])) {
    errors.invalid(path[0] / "ip", list[0]["ip"].as_string(), "must be equal to `hostIP`");
  }
  addresses(list, "HostIP", path, errors);
}

void pod_conditions(const Value& list, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& condition : list.elements()) {
    Path at = path[i++];
    if (condition["observedGeneration"].as_int() < 0) {
      errors.invalid(at / "observedGeneration", condition["observedGeneration"],
                     "must be a non-negative integer");
    }
    if (!contains({"PodScheduled", "Ready", "Initialized"}, condition["type"].as_string())) {
      qualified_name(condition["type"], at / "Type", errors);
    }
  }
}

const Value* named(const Value& list, const Value& name) {
  for (const Value& one : list.elements()) {
    if (one["name"] == name) return &one;
  }
  return nullptr;
}

bool rule_fits(const Value& rule, int64_t code) {
  const Value& codes = rule["exitCodes"];
  bool among = false;
  for (const Value& one : codes["values"].elements()) among |= one.as_int() == code;
  return codes["operator"].as_string() == "In" ? among : !among;
}

// Whether a container that ended so is to be started again.
bool restarts(const Value& container, const Value& spec, int64_t code) {
  const Value& own = container["restartPolicy"];
  if (!own.is_null()) {
    for (const Value& rule : container["restartPolicyRules"].elements()) {
      if (rule_fits(rule, code)) return rule["action"].as_string() == "Restart";
    }
    return own.as_string() == "Always" || (own.as_string() == "OnFailure" && code != 0);
  }
  std::string_view policy = spec["restartPolicy"].as_string("Always");
  return policy == "Always" || (policy == "OnFailure" && code != 0);
}

// What has ended stays so, where it may not start again. `containers` null: nothing may.
void stays_ended(const Value& now, const Value& before, const Value& spec, const char* containers,
                 const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& old : before.elements()) {
    Path at = path[i++] / "state";
    const Value& ended = old["state"]["terminated"];
    if (ended.is_null()) continue;
    const Value* current = named(now, old["name"]);
    if (current == nullptr || !(*current)["state"]["terminated"].is_null()) continue;
    const Value* container = containers == nullptr ? nullptr : named(spec[containers], old["name"]);
    if (container != nullptr && restarts(*container, spec, ended["exitCode"].as_int())) continue;
    errors.forbidden(at, "may not be transitioned to non-terminated state");
  }
}

void claim_statuses(const Value& pod, const Path& path, ErrorList& errors) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& status : pod["status"]["resourceClaimStatuses"].elements()) {
    Path at = path[i++];
    std::string_view name = status["name"].as_string();
    if (named(pod["spec"]["resourceClaims"], status["name"]) == nullptr) {
      errors.invalid(at / "name", name, "must match the name of an entry in `spec.resourceClaims`");
    }
    if (!names.insert(name).second) errors.duplicate(at / "name", name);
    if (!status["resourceClaimName"].is_null()) {
      dns_subdomain(status["resourceClaimName"], at / "resourceClaimName", errors);
    }
  }
}

void nominated(const Value& pod, const Value& old, const Path& path, ErrorList& errors) {
  const Value& node = pod["status"]["nominatedNodeName"];
  if (node.as_string().empty() || same(node, old["status"]["nominatedNodeName"])) return;
  dns_subdomain(node, path, errors);
  if (!old["spec"]["nodeName"].as_string().empty()) {
    errors.forbidden(path, "may not be set on pods that are already bound to a node");
  }
}

}  // namespace

void pod_status_update(const Value& pod, const Value& old, ErrorList& errors) {
  const Value& status = pod["status"];
  const Value& before = old["status"];
  const Value& spec = old["spec"];
  Path path("status");
  pod_annotations_update(pod, old, errors);
  pod_conditions(status["conditions"], path / "conditions", errors);
  nominated(pod, old, path / "nominatedNodeName", errors);
  if (status["observedGeneration"].as_int() < 0) {
    errors.invalid(path / "observedGeneration", status["observedGeneration"],
                   "must be a non-negative integer");
  }
  if (!same(before["qosClass"], status["qosClass"])) {
    errors.invalid(path / "qosClass", status["qosClass"].as_string(), kImmutable);
  }
  stays_ended(status["containerStatuses"], before["containerStatuses"], spec, "containers",
              path / "containerStatuses", errors);
  stays_ended(status["initContainerStatuses"], before["initContainerStatuses"], spec,
              "initContainers", path / "initContainerStatuses", errors);
  stays_ended(status["ephemeralContainerStatuses"], before["ephemeralContainerStatuses"], spec,
              nullptr, path / "ephemeralContainerStatuses", errors);
  claim_statuses(pod, path / "resourceClaimStatuses", errors);
  addresses(status["podIPs"], "PodIP", path / "podIPs", errors);
  host_addresses(status, path / "hostIPs", errors);
}

}  // namespace knarr::api::rules
