// Names of API objects: which resource, which namespace, which name.
#pragma once

#include <compare>
#include <functional>
#include <string>

namespace knarr {

// group "" is the core group. Example: {"apps", "deployments"}.
struct GroupResource {
  std::string group;
  std::string resource;  // plural, lower case
  auto operator<=>(const GroupResource&) const = default;
};

// Within one resource. ns is empty for cluster-scoped objects.
struct NamespacedName {
  std::string ns;
  std::string name;
  auto operator<=>(const NamespacedName&) const = default;
  std::string text() const { return ns.empty() ? name : ns + "/" + name; }
};

struct ObjectKey {
  GroupResource resource;
  NamespacedName name;
  auto operator<=>(const ObjectKey&) const = default;
};

}  // namespace knarr

template <>
struct std::hash<knarr::NamespacedName> {
  size_t operator()(const knarr::NamespacedName& n) const noexcept {
    size_t h = std::hash<std::string>()(n.ns);
    return h * 1000003U ^ std::hash<std::string>()(n.name);
  }
};
