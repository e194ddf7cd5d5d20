// The environment of a container: service links, envFrom, env, with $(NAME) expanded. Pure; the
// configMaps and secrets that it names are looked up before (referenced_objects) and handed in.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/downward.h"
#include "agent/pod.h"

namespace knarr::agent {

using Environment = std::vector<std::pair<std::string, std::string>>;

// One configMap or secret that the container's environment names.
struct ObjectName {
  bool secret = false;
  std::string name;
  auto operator<=>(const ObjectName&) const = default;
};
std::vector<ObjectName> referenced_objects(const json::Value& container);

// "data" of the found ones: plain values, secrets decoded. What is not there was not found.
using ObjectData = std::map<ObjectName, std::map<std::string, std::string>>;
std::map<std::string, std::string> object_data(const json::Value& object, bool secret);

struct EnvironmentInput {
  const Pod& pod;
  const ContainerSpec& container;
  const NodeFacts& node;
  const std::vector<std::string>& pod_ips;
  const ObjectData& objects;
  const std::vector<json::Value>& services;  // of the pod's namespace, and default/kubernetes
};

// The error is what CreateContainerConfigError says.
Result<Environment> make_environment(const EnvironmentInput& input);

// The variables that announce services: NAME_SERVICE_HOST, NAME_PORT_80_TCP, ...
Environment service_variables(const std::vector<json::Value>& services);

// $(NAME) by its value, $$ by $; what has no value stays as it is.
std::string expand(std::string_view text, const std::map<std::string, std::string>& values);

// A value of a secret, or of a configMap's binaryData; what is malformed gives "".
std::string bytes_of(std::string_view base64);

}  // namespace knarr::agent
