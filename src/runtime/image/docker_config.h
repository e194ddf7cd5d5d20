// Credentials as image pull secrets hold them: ~/.docker/config.json
// (kubernetes.io/dockerconfigjson) and its predecessor (kubernetes.io/dockercfg). Outside bytes;
// pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "knarr/runtime.h"

namespace knarr::runtime {

struct DockerAuth {
  std::string pattern;  // "registry.example/team", "*.example:5000"; scheme and "/v1/", "/v2/" gone
  RegistryAuth auth;
};

// Both formats: with and without "auths" around the entries.
Result<std::vector<DockerAuth>> parse_docker_config(std::string_view json);

// Those whose pattern fits the image, the longest path first. `image` as the user wrote it.
std::vector<RegistryAuth> auths_for(const std::vector<DockerAuth>& auths, std::string_view image);

// "user:password" from a member "auth", which is written with or without padding.
Result<std::string> credentials_of(std::string_view base64);

}  // namespace knarr::runtime
