// Which pod and which container a user means: "web-1", "pod/web-1", "deployment/web". Shared by
// logs, exec and attach.
#pragma once

#include <string>
#include <vector>

#include "cli/kubectl/session.h"

namespace knarr::kubectl {

// The pod's object. Of an object with a selector the pod that is most ready (with a note on stderr
// when `note` and there are several).
Result<json::Value> find_pod(Session& session, const std::string& word, bool note);

// The pods that an object's selector matches, the most ready and oldest first.
Result<std::vector<json::Value>> pods_of(Session& session, const std::string& ns,
                                         const std::string& selector);

// spec.selector of a Deployment, Service, ... as text; empty when it has none. Pure.
std::string selector_of(const json::Value& object);

// The container to use: the named one (which must exist), the annotated default, or the first.
// `others` is told when there was a choice: "Defaulted container ...". Pure.
struct ContainerChoice {
  std::string name;
  std::string note;  // for stderr; empty when there was no choice
};
Result<ContainerChoice> choose_container(const json::Value& pod, const std::string& wanted);

}  // namespace knarr::kubectl
