// Writes of a pod's /ephemeralcontainers and /resize.
#include "api/validation/pod.h"
#include "api/validation/pod_object.h"

namespace knarr::api::rules {
namespace {

// "Guaranteed", "Burstable" or "BestEffort", from what the containers ask for.
std::string_view qos_class(const Value& spec) {
  bool any = false;
  bool guaranteed = true;
  for (const char* list : {"containers", "initContainers"}) {
    for (const Value& container : spec[list].elements()) {
      const Value& resources = container["resources"];
      for (const char* name : {"cpu", "memory"}) {
        const Value& request = resources["requests"][name];
        const Value& limit = resources["limits"][name];
        bool asks = quantity_or_zero(request.as_string()).sign() > 0;
        bool limited = quantity_or_zero(limit.as_string()).sign() > 0;
        any |= asks || limited;
        bool equal = quantity_or_zero(request.as_string()) == quantity_or_zero(limit.as_string());
        guaranteed &= limited && (request.is_null() || equal);
      }
    }
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

void resources_not_removed(const Value& container, const Value& old, const Path& path,
                           ErrorList& errors) {
  for (const char* kind : {"limits", "requests"}) {
    bool removed = false;
    for (auto [name, value] : old["resources"][kind].members()) {
      removed |= (name == "cpu" || name == "memory") && !container["resources"][kind].has(name);
    }
    if (removed) {
      errors.forbidden(path / "resources" / kind,
                       std::string(kind[0] == 'l' ? "resource limits" : "resource requests") +
                           " cannot be removed");
    }
  }
}

Value without_compute(const Value& spec) {
  Value out = spec;
  for (const char* list : {"containers", "initContainers"}) {
    Value* containers = out.find(list);
    if (containers == nullptr) continue;
    for (Value& container : containers->elements()) {
      Value* resources = container.find("resources");
      if (resources == nullptr) continue;
      for (const char* kind : {"limits", "requests"}) {
        Value* amounts = resources->find(kind);
        if (amounts == nullptr) continue;
        amounts->erase("cpu");
        amounts->erase("memory");
        if (amounts->empty()) resources->erase(kind);
      }
    }
  }
  return out;
}

}  // namespace

void pod_ephemeral_update(const Value& pod, const Value& old, ErrorList& errors) {
  Path path("spec");
  ErrorList ignored;
  Volumes volumes = pod_volumes(pod["spec"]["volumes"], path / "volumes", ignored);
  ephemeral_containers(pod["spec"], volumes, path, errors);
  const Value& now = pod["spec"]["ephemeralContainers"];
  for (const Value& had : old["spec"]["ephemeralContainers"].elements()) {
    const Value* kept = nullptr;
    for (const Value& container : now.elements()) {
      if (container["name"] == had["name"]) kept = &container;
    }
    std::string quoted = go_quote(had["name"].as_string());
    if (kept == nullptr) {
      errors.forbidden(path / "ephemeralContainers",
                       "existing ephemeral containers " + quoted + " may not be removed\n");
    } else if (!(*kept == had)) {
      errors.forbidden(path / "ephemeralContainers",
                       "existing ephemeral containers " + quoted + " may not be changed\n");
    }
  }
}

void pod_resize(const Value& pod, const Value& old, ErrorList& errors) {
  Path path("spec");
  const Value& spec = pod["spec"];
  const Value& before = old["spec"];
  pod_spec(spec, pod["metadata"], path, errors);
  if (qos_class(spec) != qos_class(before)) {
    errors.invalid(path, qos_class(before), "Pod QOS Class may not change as a result of resizing");
  }
  for (size_t i = 0; i < spec["containers"].size(); i++) {
    resources_not_removed(spec["containers"][i], before["containers"][i], (path / "containers")[i],
                          errors);
  }
  if (!(without_compute(spec) == without_compute(before))) {
    errors.forbidden(path, "only cpu and memory resources are mutable");
  }
}

}  // namespace knarr::api::rules
