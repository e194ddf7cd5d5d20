#include "agent/pod.h"

namespace knarr::agent {

namespace {

RestartPolicy policy_of(const json::Value& value, RestartPolicy fallback) {
  if (value.as_string() == "Always") return RestartPolicy::kAlways;
  if (value.as_string() == "OnFailure") return RestartPolicy::kOnFailure;
  if (value.as_string() == "Never") return RestartPolicy::kNever;
  return fallback;
}

// An init container that fails runs again unless the pod never restarts.
RestartPolicy init_policy(RestartPolicy pod) {
  return pod == RestartPolicy::kNever ? RestartPolicy::kNever : RestartPolicy::kOnFailure;
}

}  // namespace

ContainerLists lists_of(ContainerKind kind) {
  switch (kind) {
    case ContainerKind::kInit:
    case ContainerKind::kSidecar: return {"initContainers", "initContainerStatuses"};
    case ContainerKind::kMain: return {"containers", "containerStatuses"};
    case ContainerKind::kEphemeral: return {"ephemeralContainers", "ephemeralContainerStatuses"};
  }
  return {"", ""};
}

Result<std::shared_ptr<const Pod>> Pod::parse(ObjectRef object) {
  auto pod = std::make_shared<Pod>();
  TRY_ASSIGN(pod->json_, json::parse(object->json));
  if (!pod->spec()["containers"].is_array()) {
    return make_error(Code::kInvalid, object->name.text() + " is not a pod");
  }
  pod->uid_ = object->uid;
  pod->object_ = std::move(object);
  pod->list_containers();
  return std::shared_ptr<const Pod>(std::move(pod));
}

std::shared_ptr<const Pod> Pod::with_spec(const Pod& pod, json::Value spec) {
  auto other = std::make_shared<Pod>();
  other->json_ = pod.json_;
  other->json_.set("spec", std::move(spec));
  other->uid_ = pod.uid_;
  other->object_ = pod.object_;
  other->list_containers();
  return other;
}

void Pod::list_containers() {
  restart_policy_ = policy_of(spec()["restartPolicy"], RestartPolicy::kAlways);
  for (const json::Value& c : spec()["initContainers"].elements()) {
    bool sidecar = c["restartPolicy"].as_string() == "Always";
    containers_.push_back({c["name"].text(),
                           sidecar ? ContainerKind::kSidecar : ContainerKind::kInit,
                           sidecar ? RestartPolicy::kAlways
                                   : policy_of(c["restartPolicy"], init_policy(restart_policy_)),
                           &c, "spec.initContainers{" + c["name"].text() + "}"});
  }
  for (const json::Value& c : spec()["containers"].elements()) {
    containers_.push_back({c["name"].text(), ContainerKind::kMain,
                           policy_of(c["restartPolicy"], restart_policy_), &c,
                           "spec.containers{" + c["name"].text() + "}"});
  }
  for (const json::Value& c : spec()["ephemeralContainers"].elements()) {
    containers_.push_back({c["name"].text(), ContainerKind::kEphemeral, RestartPolicy::kNever, &c,
                           "spec.ephemeralContainers{" + c["name"].text() + "}"});
  }
}

const ContainerSpec* Pod::container(std::string_view name) const {
  for (const ContainerSpec& c : containers_) {
    if (c.name == name) return &c;
  }
  return nullptr;
}

int64_t Pod::grace_seconds() const {
  const json::Value& of_deletion = metadata()["deletionGracePeriodSeconds"];
  if (of_deletion.is_integer()) return of_deletion.as_int();
  return spec()["terminationGracePeriodSeconds"].as_int(30);
}

bool Pod::finished() const {
  std::string_view phase = status()["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

}  // namespace knarr::agent
