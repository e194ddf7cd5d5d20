#include "api/apply/merge.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/apply/fields_of.h"

namespace knarr::api {
namespace {

json::Value lay_over(const Type& type, const Field* field, json::Value live,
                     const json::Value& config);

json::Value lay_members(const Type& type, json::Value live, const json::Value& config) {
  if (!live.is_object()) live = json::Value::object();
  for (json::Member m : config.members()) {
    const Field* field = type.is_struct() ? type.field(m.key) : nullptr;
    if (type.is_struct() && field == nullptr) continue;
    const Type& inner = field != nullptr ? *field->type : *type.element;
    json::Value* mine = live.find(m.key);
    json::Value merged =
        lay_over(inner, field, mine == nullptr ? json::Value() : std::move(*mine), m.value);
    live.set(m.key, std::move(merged));
  }
  return live;
}

// The order of structured-merge-diff: the configuration's for what both have, and what only one has
// behind what came before it there.
json::Value lay_elements(const Type& list, json::Value live, const json::Value& config) {
  auto left = element_paths(list, live);
  auto right = element_paths(list, config);
  if (!left || !right) return config;
  std::map<std::string_view, size_t> at;
  for (size_t i = 0; i < left->size(); i++) at.emplace((*left)[i], i);
  std::set<std::string_view> theirs(right->begin(), right->end());
  std::vector<std::string_view> shared;
  for (const std::string& path : *right) {
    if (at.contains(path)) shared.push_back(path);
  }

  json::Value out = json::Value::array();
  std::set<std::string_view> done;
  size_t l = 0;
  size_t r = 0;
  size_t next = 0;  // of the shared ones
  auto take_theirs = [&] {
    const std::string& path = (*right)[r];
    auto it = at.find(path);
    json::Value mine = it == at.end() ? json::Value() : live.at(it->second);
    out.push_back(lay_over(*list.element, nullptr, std::move(mine), config[r]));
    done.insert(path);
    if (next < shared.size() && shared[next] == path) next++;
    r++;
  };
  while (l < left->size() || r < right->size()) {
    if (l < left->size() && r < right->size()) {
      const std::string& path = (*left)[l];
      if (path == (*right)[r]) {
        take_theirs();
        l++;
        continue;
      }
      if (theirs.contains(path) && next < shared.size() && shared[next] != path) {
        l++;
        continue;
      }
    }
    if (l < left->size()) {
      const std::string& path = (*left)[l];
      if (!theirs.contains(path)) {
        out.push_back(live.at(l++));
        continue;
      }
      if (done.contains(path)) l++;
    }
    if (r < right->size()) take_theirs();
  }
  return out;
}

json::Value lay_over(const Type& type, const Field* field, json::Value live,
                     const json::Value& config) {
  if (owned_whole(type, field) || live.is_null()) return config;
  if (config.is_null()) return live;
  if (type.kind == TypeKind::kList) return lay_elements(type, std::move(live), config);
  return lay_members(type, std::move(live), config);
}

json::Value take_out(const Type& type, const Field* field, json::Value value, const FieldSet& set) {
  if (owned_whole(type, field) || value.size() == 0) return value;
  if (type.kind == TypeKind::kList) {
    json::Value out = json::Value::array();
    for (json::Value& element : value.elements()) {
      std::optional<std::string> path = element_path(type, element);
      const FieldSet* inner = path ? set.child(*path) : nullptr;
      if (inner != nullptr && inner->member) continue;
      if (inner == nullptr) {
        out.push_back(std::move(element));
      } else {
        out.push_back(take_out(*type.element, nullptr, std::move(element), *inner));
      }
    }
    return out.empty() ? json::Value() : out;
  }
  json::Value out = json::Value::object();
  for (json::Member m : value.members()) {
    const FieldSet* inner = set.child("f:" + std::string(m.key));
    if (inner != nullptr && inner->member) continue;
    const Field* f = type.is_struct() ? type.field(m.key) : nullptr;
    if (inner == nullptr || (type.is_struct() && f == nullptr)) {
      out.set(m.key, std::move(m.value));
    } else {
      const Type& t = f != nullptr ? *f->type : *type.element;
      json::Value rest = take_out(t, f, std::move(m.value), *inner);
      if (!rest.is_null()) out.set(m.key, std::move(rest));
    }
  }
  return out.empty() ? json::Value() : out;
}

}  // namespace

json::Value merge_config(const Type& type, json::Value live, const json::Value& config) {
  return lay_over(type, nullptr, std::move(live), config);
}

json::Value without_fields(const Type& type, json::Value value, const FieldSet& set) {
  json::Value out = take_out(type, nullptr, std::move(value), set);
  return out.is_null() ? json::Value::object() : out;
}

FieldSet with_named_parents(const Type& type, const FieldSet& set) {
  FieldSet out;
  out.member = set.member;
  for (const auto& [element, inner] : set.children) {
    const Type* t = type.element;
    const Field* field = nullptr;
    if (element[0] == 'f' && type.is_struct()) {
      field = type.field(std::string_view(element).substr(2));
      t = field == nullptr ? nullptr : field->type;
    }
    FieldSet copy = t == nullptr ? inner : with_named_parents(*t, inner);
    if (field != nullptr) copy.member = true;
    out.children.emplace(element, std::move(copy));
  }
  return out;
}

}  // namespace knarr::api
