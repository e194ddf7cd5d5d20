// The files of a configMap, secret, downwardAPI or projected volume: their content gathered from
// the sources, as one pure function of what was found. Errors are what "MountVolume.SetUp failed"
// says.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "agent/downward.h"
#include "agent/pod.h"

namespace knarr::agent {

struct PayloadFile {
  std::string content;
  mode_t mode = 0644;
  int64_t user = -1;  // that owns it; -1: root
  bool operator==(const PayloadFile&) const = default;
};
using Payload = std::map<std::string, PayloadFile>;  // by path below the volume

// One entry of a projected volume's sources; the other three kinds of volume are one source.
struct PayloadSource {
  enum class Kind { kConfigMap, kSecret, kDownwardApi, kServiceAccountToken } kind;
  std::string name;                   // of the configMap or secret
  const json::Value* spec = nullptr;  // items, optional, path, audience, expirationSeconds
};
std::vector<PayloadSource> payload_sources(const json::Value& volume);
mode_t default_mode(const json::Value& volume);
// A token is for its users alone: the one user that all containers run as, or the pod's group.
PayloadFile token_file(const Pod& pod, std::string token, mode_t mode);

// `object` is the configMap or secret, null when it does not exist.
Result<void> add_object(const PayloadSource& source, const json::Value& object, mode_t mode,
                        Payload& payload);
Result<void> add_downward(const PayloadSource& source, const Pod& pod, const NodeFacts& node,
                          const std::vector<std::string>& pod_ips, mode_t mode, Payload& payload);

}  // namespace knarr::agent
