// A pod as the agent reads it: the API object decoded once, with the containers in starting order.
// Immutable; a change of the object makes a new Pod.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/object.h"
#include "knarr/result.h"

namespace knarr::agent {

enum class RestartPolicy { kAlways, kOnFailure, kNever };

enum class ContainerKind {
  kInit,     // runs to its end before the next starts
  kSidecar,  // an init container with restartPolicy Always: started, then kept
  kMain,
  kEphemeral,  // added to a pod that runs, to look into it: started once
};

// Of spec.initContainers.
inline bool is_init(ContainerKind kind) {
  return kind == ContainerKind::kInit || kind == ContainerKind::kSidecar;
}

// Lives as long as its pod, with resources of its own that may change meanwhile.
inline bool resizable(ContainerKind kind) {
  return kind == ContainerKind::kSidecar || kind == ContainerKind::kMain;
}

// The member of spec that lists containers of a kind, and the one of status.
struct ContainerLists {
  const char* spec;
  const char* status;
};
ContainerLists lists_of(ContainerKind kind);

struct ContainerSpec {
  std::string name;
  ContainerKind kind = ContainerKind::kMain;
  RestartPolicy restart_policy = RestartPolicy::kAlways;  // the container's own, else the pod's
  const json::Value* spec = nullptr;                      // in Pod::json
  std::string field_path;                                 // "spec.containers{web}", for events
};

class Pod {
 public:
  // Error kInvalid when the object is not a pod.
  static Result<std::shared_ptr<const Pod>> parse(ObjectRef object);

  // The same object with a spec of other resources: those that the node has given it.
  static std::shared_ptr<const Pod> with_spec(const Pod& pod, json::Value spec);

  const ObjectRef& object() const { return object_; }
  const json::Value& json() const { return json_; }
  const json::Value& metadata() const { return json_["metadata"]; }
  const json::Value& spec() const { return json_["spec"]; }
  const json::Value& status() const { return json_["status"]; }

  const std::string& uid() const { return uid_; }
  const std::string& ns() const { return object_->name.ns; }
  const std::string& name() const { return object_->name.name; }
  // "web_default(1b4e28ba-...)": how the kubelet's messages name a pod.
  std::string full_name() const { return name() + "_" + ns() + "(" + uid_ + ")"; }

  const std::vector<ContainerSpec>& containers() const { return containers_; }
  const ContainerSpec* container(std::string_view name) const;
  RestartPolicy restart_policy() const { return restart_policy_; }
  bool host_network() const { return spec()["hostNetwork"].as_bool(); }
  bool deleting() const { return object_->deleting; }
  // Seconds between the stop signal and SIGKILL: of the deletion when there is one.
  int64_t grace_seconds() const;
  // A pod of the API's (not yet) whose phase is Succeeded or Failed.
  bool finished() const;

 private:
  void list_containers();

  ObjectRef object_;
  json::Value json_;
  std::string uid_;
  RestartPolicy restart_policy_ = RestartPolicy::kAlways;
  std::vector<ContainerSpec> containers_;
};

using PodRef = std::shared_ptr<const Pod>;

}  // namespace knarr::agent
