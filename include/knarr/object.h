// An API object as the whole of knarr shares it: immutable, its canonical JSON held once, and
// beside it the few fields that look-ups need, so that no list, selector or garbage collector has
// to parse.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knarr/object_key.h"

namespace knarr {

// An entry of metadata.ownerReferences.
struct OwnerRef {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;
  bool block_owner_deletion = false;
};

struct Object {
  NamespacedName name;
  int64_t revision = 0;  // metadata.resourceVersion; 0 when the object is not a stored one
  std::string uid;
  std::string json;  // canonical: schema order, apiVersion and kind first, resourceVersion included
  std::vector<std::pair<std::string, std::string>> labels;  // sorted by key
  std::vector<OwnerRef> owners;
  // What field selectors and indexes of this resource may ask for ("spec.nodeName" -> "n1"), beyond
  // metadata.name and metadata.namespace. Sorted by path.
  std::vector<std::pair<std::string, std::string>> fields;
  bool deleting = false;  // metadata.deletionTimestamp is set

  // The value of a label or indexed field; nullptr when absent.
  const std::string* label(std::string_view key) const;
  const std::string* field(std::string_view path) const;
  // The owner whose controller flag is set; nullptr when there is none.
  const OwnerRef* controller() const;
};

using ObjectRef = std::shared_ptr<const Object>;

}  // namespace knarr
