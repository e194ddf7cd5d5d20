// Image references as people write them: "busybox", "localhost:5000/a/b:1", "quay.io/x@sha256:...".
// The grammar is distribution/reference's: a first part with a dot, a colon, an upper-case letter
// or the word localhost is a registry, else the image is Docker Hub's. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::runtime {

struct Reference {
  std::string domain;  // "docker.io", "127.0.0.1:5000", "[::1]:5000"
  std::string path;    // "library/busybox"
  std::string tag;     // may be empty
  std::string digest;  // may be empty

  std::string name() const { return domain + "/" + path; }
  // In full: "docker.io/library/busybox:1.36@sha256:..."
  std::string text() const;
  auto operator<=>(const Reference&) const = default;
};

// kInvalid: "invalid reference format", "invalid reference format: repository name (x) must be
// lowercase", and the like. Neither tag nor digest is made up.
Result<Reference> parse_reference(std::string_view text);

// As parse_reference, and ":latest" when there is neither tag nor digest.
Result<Reference> parse_image(std::string_view text);

// What the kubelet asks the runtime for: the text itself, with ":latest" when it names neither tag
// nor digest. The error is the message of reason InvalidImageName.
Result<std::string> apply_default_tag(const std::string& image);

}  // namespace knarr::runtime
