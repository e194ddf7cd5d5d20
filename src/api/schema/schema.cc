#include "api/schema/schema.h"

#include <algorithm>
#include <tuple>

namespace knarr::api {

bool Field::enum_has(std::string_view value) const {
  if (facts->enum_values == nullptr) return true;
  std::string_view rest = facts->enum_values;
  while (true) {
    size_t bar = rest.find('|');
    if (rest.substr(0, bar) == value) return true;
    if (bar == std::string_view::npos) return false;
    rest.remove_prefix(bar + 1);
  }
}

int Type::field_index(std::string_view json_name) const {
  int low = 0;
  int high = field_count;
  while (low < high) {
    int middle = (low + high) / 2;
    int index = by_name[middle];
    int order = field_rows[index].name().compare(json_name);
    if (order == 0) return index;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return -1;
}

const Field* Type::field(std::string_view json_name) const {
  int index = field_index(json_name);
  return index < 0 ? nullptr : field_rows + index;
}

const Type* find_type(std::string_view group, std::string_view version, std::string_view name) {
  auto key = [](const Type* t) {
    return std::make_tuple(std::string_view(t->group), std::string_view(t->version),
                           std::string_view(t->name));
  };
  auto wanted = std::make_tuple(group, version, name);
  auto types = all_types();
  auto it = std::lower_bound(types.begin(), types.end(), wanted,
                             [&](const Type* t, const auto& w) { return key(t) < w; });
  return it != types.end() && key(*it) == wanted ? *it : nullptr;
}

const Field* find_field(const Type& type, std::span<const std::string_view> path) {
  const Type* at = &type;
  const Field* field = nullptr;
  for (std::string_view name : path) {
    while (at->element != nullptr) at = at->element;
    field = at->field(name);
    if (field == nullptr) return nullptr;
    at = field->type;
  }
  return field;
}

}  // namespace knarr::api
