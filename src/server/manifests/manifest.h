// What the text of a manifest file asks for. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/client.h"
#include "knarr/result.h"

namespace knarr::server {

// Which object: what is compared, recorded and, once no file has it, deleted.
struct ManifestRef {
  std::string group;
  std::string version;
  std::string resource;
  NamespacedName name;

  client::Target target() const { return {group, version, resource, name.ns, name.name, ""}; }
  // An object is the same in another version of its group.
  bool same_object(const ManifestRef& other) const {
    return group == other.group && resource == other.resource && name == other.name;
  }
  std::string text() const;  // "deployments.apps default/web"
};

struct Manifest {
  ManifestRef ref;
  json::Value object;
};

// YAML or JSON, any number of documents; Lists are taken apart. What is namespaced and names no
// namespace is in "default". Errors name the document by its number, or the object.
Result<std::vector<Manifest>> read_manifests(std::string_view text);

}  // namespace knarr::server
