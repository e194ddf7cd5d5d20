// Pods as objects: what may be created, and the little that may change later.
#include "api/validation/pod_object.h"

#include "api/validation/pod.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kFixed =
    "pod updates may not change fields other than "
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

void annotations(const Value& pod, ErrorList& errors) {
  Path path = Path("metadata") / "annotations";
  const Value& all = pod["metadata"]["annotations"];
  const Value* mirror = all.find("kubernetes.io/config.mirror");
  if (mirror != nullptr && pod["spec"]["nodeName"].as_string().empty()) {
    errors.invalid(path.key("kubernetes.io/config.mirror"), *mirror,
                   "must set spec.nodeName if mirror pod annotation is set");
  }
  const char* kCost = "controller.kubernetes.io/pod-deletion-cost";
  if (const Value* cost = all.find(kCost)) {
    std::string_view text = cost->as_string();
    size_t begin = !text.empty() && text[0] == '-' ? 1 : 0;
    int64_t value = 0;
    bool good = text.size() > begin && text.size() < 12 && (text[begin] != '0' || text == "0");
    for (size_t i = begin; i < text.size() && good; i++) {
      good = text[i] >= '0' && text[i] <= '9';
      value = value * 10 + (text[i] - '0');
    }
    if (!good || value > 2147483648 - (begin == 0 ? 1 : 0)) {
      errors.invalid(path.key(kCost), *cost, "must be a 32bit integer");
    }
  }
}

// The spec with what an update may change made equal to the old one.
Value masked(const Value& spec, const Value& old) {
  Value out = spec;
  for (const char* list : {"containers", "initContainers"}) {
    Value* containers = out.find(list);
    if (containers == nullptr || containers->size() != old[list].size()) continue;
    for (size_t i = 0; i < containers->size(); i++) {
      containers->at(i).set("image", old[list][i]["image"]);
    }
  }
  for (const char* member : {"activeDeadlineSeconds", "tolerations"}) {
    if (old.has(member)) {
      out.set(member, old[member]);
    } else {
      out.erase(member);
    }
  }
  if (old["terminationGracePeriodSeconds"].as_int() < 0 &&
      spec["terminationGracePeriodSeconds"].as_int() == 1) {
    out.set("terminationGracePeriodSeconds", old["terminationGracePeriodSeconds"]);
  }
  // Gates may only be taken away, and while there are any the pod's node affinity may narrow.
  if (!old["schedulingGates"].empty()) {
    for (const char* member : {"schedulingGates", "nodeSelector"}) {
      if (old.has(member)) {
        out.set(member, old[member]);
      } else {
        out.erase(member);
      }
    }
    const Value& node = old["affinity"]["nodeAffinity"];
    if (out.has("affinity") || old.has("affinity")) {
      Value& affinity = out.member("affinity");
      if (node.is_null()) {
        affinity.erase("nodeAffinity");
      } else {
        affinity.set("nodeAffinity", node);
      }
      if (affinity.empty() && !old.has("affinity")) out.erase("affinity");
    }
  }
  return out;
}

void only_more_tolerations(const Value& spec, const Value& old, ErrorList& errors) {
  for (const Value& had : old["tolerations"].elements()) {
    bool kept = false;
    for (const Value& now : spec["tolerations"].elements()) {
      Value a = now;
      Value b = had;
      a.erase("tolerationSeconds");
      b.erase("tolerationSeconds");
      kept |= a == b;
    }
    if (!kept) {
      errors.forbidden(Path("spec") / "tolerations",
                       "existing toleration can not be modified except its tolerationSeconds");
      return;
    }
  }
}

void gates_update(const Value& spec, const Value& old, ErrorList& errors) {
  Path path = Path("spec") / "schedulingGates";
  for (const Value& gate : spec["schedulingGates"].elements()) {
    bool had = false;
    for (const Value& other : old["schedulingGates"].elements())
      had |= other["name"] == gate["name"];
    if (!had) {
      errors.forbidden(path, "only deletion is allowed, but found new scheduling gate '" +
                                 gate["name"].text() + "'");
    }
  }
}

void deadline_update(const Value& spec, const Value& old, ErrorList& errors) {
  const Value& now = spec["activeDeadlineSeconds"];
  const Value& before = old["activeDeadlineSeconds"];
  Path path = Path("spec") / "activeDeadlineSeconds";
  if (now.is_null()) {
    if (!before.is_null()) {
      errors.invalid(path, now, "must not update from a positive integer to nil value");
    }
  } else if (now.as_int() < 0 || now.as_int() > 2147483647) {
    errors.invalid(path, now, "must be between 0 and 2147483647, inclusive");
  } else if (!before.is_null() && before.as_int() < now.as_int()) {
    errors.invalid(path, now, "must be less than or equal to previous value");
  }
}

}  // namespace

void pod_create(const Value& pod, ErrorList& errors) {
  annotations(pod, errors);
  const Value& spec = pod["spec"];
  pod_spec(spec, pod["metadata"], Path("spec"), errors);
  if (!spec["ephemeralContainers"].empty()) {
    errors.forbidden(Path("spec") / "ephemeralContainers", "cannot be set on create");
  }
  if (!spec["schedulingGates"].empty() && !spec["nodeName"].as_string().empty()) {
    errors.forbidden(Path("spec") / "nodeName",
                     "cannot be set until all schedulingGates have been cleared");
  }
}

void pod_update(const Value& pod, const Value& old, ErrorList& errors) {
  const Value& spec = pod["spec"];
  const Value& before = old["spec"];
  annotations(pod, errors);
  pod_spec(spec, pod["metadata"], Path("spec"), errors);
  for (const char* list : {"containers", "initContainers"}) {
    if (spec[list].size() != before[list].size()) {
      errors.forbidden(Path("spec") / list, "pod updates may not add or remove containers");
      return;
    }
  }
  deadline_update(spec, before, errors);
  only_more_tolerations(spec, before, errors);
  gates_update(spec, before, errors);
  if (!(masked(spec, before) == before)) errors.forbidden(Path("spec"), kFixed);
}

void pod_status_update(const Value& pod, const Value& old, ErrorList& errors) {
  const Value& status = pod["status"];
  Path path("status");
  std::string_view nominated = status["nominatedNodeName"].as_string();
  if (!nominated.empty()) {
    dns_subdomain(nominated, path / "nominatedNodeName", errors);
    bool changed = nominated != old["status"]["nominatedNodeName"].as_string();
    if (changed && !pod["spec"]["nodeName"].as_string().empty()) {
      errors.forbidden(path / "nominatedNodeName",
                       "may not be set on pods that are already bound to a node");
    }
  }
  const Value& qos = old["status"]["qosClass"];
  if (!qos.is_null() && !same(qos, status["qosClass"])) {
    errors.invalid(path / "qosClass", status["qosClass"].as_string(), kImmutable);
  }
  if (status["observedGeneration"].as_int() < 0) {
    errors.invalid(path / "observedGeneration", status["observedGeneration"],
                   "must be a non-negative integer");
  }
  size_t i = 0;
  for (const Value& ip : status["podIPs"].elements())
    ip_address(ip["ip"], (path / "podIPs")[i++], errors);
  i = 0;
  for (const Value& ip : status["hostIPs"].elements())
    ip_address(ip["ip"], (path / "hostIPs")[i++], errors);
  i = 0;
  for (const Value& condition : status["conditions"].elements()) {
    qualified_name(condition["type"], (path / "conditions")[i++] / "Type", errors);
  }
}

}  // namespace knarr::api::rules
