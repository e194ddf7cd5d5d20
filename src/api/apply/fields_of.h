// Which fields a value has, and which differ between two values: the path sets that field ownership
// is made of, from the schema. Follows structured-merge-diff: lists and maps that are atomic are
// one leaf; elements of associative lists are named by their keys; members that Go writes even when
// they are zero count as present. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/apply/field_set.h"
#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

// Every field that `value` sets: what an applier owns.
FieldSet fields_of(const Type& type, const json::Value& value);

struct FieldChanges {
  FieldSet changed;  // new, or with another value
  FieldSet removed;
};

// Of whole objects: apiVersion, kind and the server's own metadata are left out.
FieldChanges compare_objects(const Type& type, const json::Value& old, const json::Value& now);

// Whether a field's value is owned as one piece.
bool owned_whole(const Type& type, const Field* field);

// "k:..." or "v:..." of a list's element; nullopt when a key without default is missing.
std::optional<std::string> element_path(const Type& list, const json::Value& element);
// Of all elements; nullopt when one has none or two are alike.
std::optional<std::vector<std::string>> element_paths(const Type& list, const json::Value& value);

// Removes what no manager can own: apiVersion, kind, and the server's own metadata.
void strip_unowned(FieldSet& set);

}  // namespace knarr::api
