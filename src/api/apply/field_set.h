// A set of field paths, as server-side apply keeps for every field manager (KEP-555). A path is a
// chain of elements, each in the text form of FieldsV1: "f:<name>" a struct field or map key,
// "k:<json>" a list element by its keys, "v:<json>" an element of a set, "i:<n>" by index.
// Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace knarr::api {

class FieldSet {
 public:
  // The path that leads here is itself in the set (FieldsV1: the "." member, or an empty object).
  bool member = false;
  std::map<std::string, FieldSet, std::less<>> children;

  // No path at all in here.
  bool empty() const { return !member && children.empty(); }
  const FieldSet* child(std::string_view element) const;
  FieldSet& at(std::string_view element);

  void add(const FieldSet& other);               // union
  void remove(const FieldSet& other);            // difference, path by path
  FieldSet common(const FieldSet& other) const;  // intersection
  bool operator==(const FieldSet& other) const = default;

  // Drops children that hold no path.
  void prune();

  // FieldsV1. The set's own root is never a member.
  json::Value to_json() const;
  static FieldSet from_json(const json::Value& fields);

  // Every path, as error messages show them: `.spec.ports[port=80,protocol="TCP"].name`, sorted.
  std::vector<std::string> paths() const;
};

// An element as error messages show it: "f:x" -> ".x", `k:{"name":"c"}` -> `[name="c"]`,
// `v:"a"` -> `[="a"]`, "i:1" -> "[1]".
std::string shown_element(std::string_view element);

}  // namespace knarr::api
