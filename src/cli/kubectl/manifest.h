// Objects from files, folders, standard input and URLs: the -f, -R of apply, create and delete.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/kubectl/resources.h"

namespace knarr::kubectl {

struct Manifest {
  json::Value object;
  std::string source;  // "web.yaml", "STDIN", a URL
};

// Every object of a YAML stream or JSON text; Lists are taken apart. Pure.
Result<std::vector<Manifest>> parse_manifests(std::string_view text, const std::string& source);

Result<std::vector<Manifest>> read_manifests(Session& session, const Flags& flags);

// Leaves those whose labels -l selects.
Result<void> keep_selected(const Flags& flags, std::vector<Manifest>& manifests);

// The fieldValidation parameter of --validate: "Strict" unless told otherwise.
std::string field_validation(const Flags& flags);

// Where the object belongs; its metadata.namespace is filled in from the session. An error when
// -n says another one, or the server has no such kind.
Result<Target> target_of(Session& session, Manifest& manifest);

}  // namespace knarr::kubectl
