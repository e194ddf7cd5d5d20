// Writes of a pod's /ephemeralcontainers and /resize.
#include "api/validation/internal.h"
#include "api/validation/pod.h"
#include "api/validation/pod_object.h"
#include "api/validation/value_diff.h"

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

bool restartable(const Value& container) {
  return container["restartPolicy"].as_string() == "Always";
}

void resources_not_removed(const Value& container, const Value& old, const Path& path,
                           ErrorList& errors) {
  for (const char* kind : {"requests", "limits"}) {
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

// The container with what it asks of processor and memory as it was.
Value as_it_was(const Value& container, const Value& old) {
  Value out = container;
  Value& resources = out.member("resources");
  if (resources.is_null()) resources = Value::object();
  for (const char* kind : {"limits", "requests"}) {
    Value& amounts = resources.member(kind);
    if (amounts.is_null()) amounts = Value::object();
    for (const char* name : {"cpu", "memory"}) {
      const Value& before = old["resources"][kind][name];
      if (before.is_null()) {
        amounts.erase(name);
      } else {
        amounts.set(name, before);
      }
    }
    if (amounts.empty()) resources.erase(kind);
  }
  return out;
}

// Both have the same containers in the same order; false when not.
bool same_containers(const Value& spec, const Value& old, ErrorList& errors) {
  bool good = true;
  for (const char* list : {"containers", "initContainers"}) {
    Path path = Path("spec") / list;
    if (spec[list].size() != old[list].size()) {
      errors.forbidden(path, std::string(list) + " may not be added or removed on resize");
      good = false;
      continue;
    }
    for (size_t i = 0; i < old[list].size(); i++) {
      if (spec[list][i]["name"] == old[list][i]["name"]) continue;
      errors.forbidden(path[i] / "name",
                       std::string(list) + " may not be renamed or reordered on resize");
      good = false;
    }
  }
  return good;
}

}  // namespace

void pod_ephemeral_update(const Value& pod, const Value& old, ErrorList& errors) {
  metadata_again(pod, true, errors);
  pod_whole(pod, errors);
  pod_annotations_update(pod, old, errors);
  if (is_mirror_pod(old)) {
    errors = ErrorList();
    return errors.forbidden(Path(), "static pods do not support ephemeral containers");
  }
  Path path = Path("spec") / "ephemeralContainers";
  const Value& now = pod["spec"]["ephemeralContainers"];
  auto shown = [](const Value& container) {
    return internal_value("", "v1", "EphemeralContainer", container);
  };
  for (const Value& had : old["spec"]["ephemeralContainers"].elements()) {
    const Value* kept = nullptr;
    for (const Value& container : now.elements()) {
      if (container["name"] == had["name"]) kept = &container;
    }
    std::string which = "existing ephemeral containers " + go_quote(had["name"].as_string());
    if (kept == nullptr) {
      errors.forbidden(path, which + " may not be removed\n");
    } else if (!(*kept == had)) {
      errors.forbidden(path,
                       which + " may not be changed\n" + value_diff(shown(had), shown(*kept)));
    }
  }
}

void pod_resize(const Value& pod, const Value& old, ErrorList& errors) {
  Path path("spec");
  const Value& spec = pod["spec"];
  const Value& before = old["spec"];
  metadata_again(pod, true, errors);
  pod_whole(pod, errors);
  if (is_mirror_pod(old)) {
    errors = ErrorList();
    return errors.forbidden(Path(), "static pods cannot be resized");
  }
  if (before["os"]["name"].as_string() == "windows") {
    errors = ErrorList();
    return errors.forbidden(Path(), "windows pods cannot be resized");
  }
  if (qos_class(spec) != qos_class(before)) {
    errors.invalid(path, qos_class(before), "Pod QOS Class may not change as a result of resizing");
  }
  if (!same_containers(spec, before, errors)) return;
  for (size_t i = 0; i < before["initContainers"].size(); i++) {
    if (!restartable(before["initContainers"][i])) continue;
    resources_not_removed(spec["initContainers"][i], before["initContainers"][i],
                          (path / "initContainers")[i], errors);
  }
  for (size_t i = 0; i < before["containers"].size(); i++) {
    resources_not_removed(spec["containers"][i], before["containers"][i], (path / "containers")[i],
                          errors);
  }
  for (size_t i = 0; i < before["containers"].size(); i++) {
    const Value& container = before["containers"][i];
    if (!(as_it_was(spec["containers"][i], container) == as_it_was(container, container))) {
      errors.forbidden(path, "only cpu and memory resources are mutable");
    }
  }
  for (size_t i = 0; i < before["initContainers"].size(); i++) {
    const Value& had = before["initContainers"][i];
    const Value& has = spec["initContainers"][i];
    if (!restartable(had)) {
      if (!(has == had)) {
        errors.forbidden(path, "resources for non-sidecar init containers are immutable");
      }
    } else if (!(as_it_was(has, had) == as_it_was(had, had))) {
      errors.forbidden((path / "initContainers")[i],
                       "only cpu and memory resources for init or sidecar containers are mutable");
    }
  }
}

}  // namespace knarr::api::rules
