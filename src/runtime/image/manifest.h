// Manifests and indexes, OCI's and Docker's (schema 2): what an image consists of, and which image
// of several is this machine's. Outside bytes; pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::runtime {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  static Platform host();
};

struct Descriptor {
  std::string media_type;
  std::string digest;
  int64_t size_bytes = 0;
  Platform platform;  // of an index entry; often empty
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  std::vector<Descriptor> manifests;  // of an index; then there is nothing else
  bool is_index = false;
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
};

// kInvalid when it is neither, or of a kind that is no container image.
Result<Manifest> parse_manifest(std::string_view json);

// The best entry for the platform; nullptr when none fits. Where the platform of an entry is not
// given it fits any.
const Descriptor* choose_platform(const std::vector<Descriptor>& manifests, const Platform& want);

// What a registry may answer a request for a manifest with.
std::string accepted_manifest_types();

}  // namespace knarr::runtime
