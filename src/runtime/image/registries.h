// Where images are pulled from: registries.yaml as k3s reads it (mirrors with endpoints and
// rewrites, configs with auth and tls). Pure, but for load_registries, which blocks.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "knarr/runtime.h"
#include "runtime/image/reference.h"

namespace knarr::runtime {

struct RegistryTls {
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  bool insecure_skip_verify = false;
};

struct RegistryConfig {
  RegistryAuth auth;
  RegistryTls tls;
};

struct RegistryMirror {
  std::vector<std::string> endpoints;                         // "https://mirror.local:5000/v2"
  std::vector<std::pair<std::string, std::string>> rewrites;  // regular expression, replacement
};

struct Registries {
  std::map<std::string, RegistryMirror> mirrors;  // by registry host, or "*"
  std::map<std::string, RegistryConfig> configs;  // by endpoint host
};

// One place to ask for an image.
struct Endpoint {
  std::string base_url;    // without "/v2" and without a trailing slash
  std::string repository;  // after rewrites: "library/busybox"
  std::string host;        // "mirror.local:5000"
  std::string mirrored;    // the registry it stands in for; empty for the registry itself
  RegistryConfig config;
};

Result<Registries> parse_registries(std::string_view yaml);
// What is absent is no registries at all.
Result<Registries> load_registries(const std::string& path);

// Mirrors first, in order, then the registry itself. Plain HTTP for loopback hosts without a tls
// section; docker.io is asked at registry-1.docker.io.
std::vector<Endpoint> endpoints_for(const Registries& registries, const Reference& reference);

}  // namespace knarr::runtime
