#include "knarr/object.h"

#include <algorithm>

namespace knarr {

namespace {

const std::string* look_up(const std::vector<std::pair<std::string, std::string>>& sorted,
                           std::string_view key) {
  auto it = std::lower_bound(sorted.begin(), sorted.end(), key,
                             [](const auto& pair, std::string_view k) { return pair.first < k; });
  return it != sorted.end() && it->first == key ? &it->second : nullptr;
}

}  // namespace

const std::string* Object::label(std::string_view key) const { return look_up(labels, key); }

const std::string* Object::field(std::string_view path) const { return look_up(fields, path); }

const OwnerRef* Object::controller() const {
  for (const OwnerRef& owner : owners) {
    if (owner.controller) return &owner;
  }
  return nullptr;
}

}  // namespace knarr
