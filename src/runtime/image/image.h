// What knarr knows about an image that is present.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"
#include "knarr/runtime.h"

namespace knarr::runtime {

// The part of an OCI image config (or a Docker one) that running a container needs.
struct ImageConfig {
  std::string user;              // "", "uid", "name", "uid:gid", "name:group"
  std::vector<std::string> env;  // "K=V"
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::string working_dir;
  std::vector<std::string> volumes;        // sorted paths
  std::vector<std::string> exposed_ports;  // "80/tcp"
  std::string stop_signal;                 // "", "SIGQUIT", "3"
  std::map<std::string, std::string> labels;
  std::string os;
  std::string architecture;
};

struct ImageLayer {
  std::string digest;    // of the blob, as it was downloaded
  std::string diff_id;   // of the tar in it
  std::string chain_id;  // of this layer upon those below it
  int64_t size_bytes = 0;
};

struct Image {
  std::string id;                    // digest of the config
  std::string manifest_digest;       // as the store has it; empty never
  std::vector<std::string> tags;     // "docker.io/library/busybox:1", sorted
  std::vector<std::string> digests;  // "docker.io/library/busybox@sha256:...", sorted
  int64_t size_bytes = 0;            // of config and layers, compressed
  ImageConfig config;
  std::vector<ImageLayer> layers;  // bottom first

  ImageSpec spec() const;
};

using ImageRef = std::shared_ptr<const Image>;

// An image from the bytes of its config and the layer blobs its manifest names (digest and size
// set, bottom first). kInvalid when they do not fit together.
Result<Image> image_from_config(std::string_view config_json, std::vector<ImageLayer> layers);

json::Value image_to_json(const Image& image);
Result<Image> image_from_json(const json::Value& value);

}  // namespace knarr::runtime
