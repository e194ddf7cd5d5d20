#include "cli/kubectl/three_way.h"

#include <string>

#include "cli/kubectl/json_text.h"

namespace knarr::kubectl {

namespace {

using json::Value;

const Value& element_with(const Value& list, const char* key, const Value& value) {
  for (const Value& element : list.elements()) {
    if (element[key] == value) return element;
  }
  static const Value none;
  return none;
}

bool holds(const Value& list, const Value& value) {
  for (const Value& element : list.elements()) {
    if (element == value) return true;
  }
  return false;
}

bool every_element_has(const Value& list, const char* key) {
  for (const Value& element : list.elements()) {
    if (!element.is_object() || element[key].is_null()) return false;
  }
  return true;
}

// Those of `modified`'s elements that `current` has come in the same order there. `same` compares.
template <typename Same>
bool same_order(const Value& modified, const Value& current, const Same& same) {
  size_t at = 0;
  for (const Value& element : modified.elements()) {
    size_t found = 0;
    while (found < current.size() && !same(element, current[found])) found++;
    if (found == current.size()) continue;
    if (found < at) return false;
    at = found;
  }
  return true;
}

void retain_keys(Value& patch, const Value& modified) {
  Value keys = Value::array();
  for (const json::Member& member : sorted_members(modified)) keys.push_back(member.key);
  patch.set("$retainKeys", std::move(keys));
}

// A list of objects that merges by `key`.
void patch_keyed_list(const api::Field& field, const Value& original, const Value& modified,
                      const Value& current, Value& patch) {
  const char* key = field.facts->merge_key;
  const api::Type* element_type = field.type->element;
  Value list = Value::array();
  Value order = Value::array();
  for (const Value& element : modified.elements()) {
    order.push_back(Value::object({{key, element[key]}}));
    const Value& there = element_with(current, key, element[key]);
    if (there.is_null()) {
      list.push_back(element);
      continue;
    }
    Value change =
        three_way_patch(element_type, element_with(original, key, element[key]), element, there);
    if (change.empty()) continue;
    if (field.is(api::Field::kRetainKeys)) retain_keys(change, element);
    change.set(key, element[key]);
    list.push_back(std::move(change));
  }
  for (const Value& element : original.elements()) {
    bool wanted = !element_with(modified, key, element[key]).is_null();
    if (wanted || element_with(current, key, element[key]).is_null()) continue;
    list.push_back(Value::object({{"$patch", "delete"}, {key, element[key]}}));
  }
  bool ordered = same_order(modified, current,
                            [&](const Value& a, const Value& b) { return a[key] == b[key]; });
  if (list.empty() && ordered) return;
  std::string name(field.name());
  if (!order.empty()) patch.set("$setElementOrder/" + name, std::move(order));
  if (!list.empty()) patch.set(name, std::move(list));
}

// A list of scalars that merges as a set.
void patch_set(const std::string& name, const Value& original, const Value& modified,
               const Value& current, Value& patch) {
  Value added = Value::array();
  Value deleted = Value::array();
  for (const Value& element : modified.elements()) {
    if (!holds(current, element)) added.push_back(element);
  }
  for (const Value& element : original.elements()) {
    if (!holds(modified, element) && holds(current, element)) deleted.push_back(element);
  }
  bool ordered =
      same_order(modified, current, [](const Value& a, const Value& b) { return a == b; });
  if (added.empty() && deleted.empty() && ordered) return;
  if (!modified.empty()) patch.set("$setElementOrder/" + name, modified);
  if (!deleted.empty()) patch.set("$deleteFromPrimitiveList/" + name, std::move(deleted));
  if (!added.empty()) patch.set(name, std::move(added));
}

void patch_list(const api::Field* field, const std::string& name, const Value& original,
                const Value& modified, const Value& current, Value& patch) {
  bool merges = field != nullptr && field->is(api::Field::kPatchMerge);
  const char* key = merges ? field->facts->merge_key : nullptr;
  if (merges && key != nullptr && every_element_has(modified, key)) {
    patch_keyed_list(*field, original, modified, current, patch);
  } else if (merges && key == nullptr) {
    patch_set(name, original, modified, current, patch);
  } else if (!(modified == current)) {
    patch.set(name, modified);
    if (merges) patch.member(name).push_back(Value::object({{"$patch", "replace"}}));
  }
}

struct FieldType {
  const api::Field* field = nullptr;
  const api::Type* type = nullptr;
};

FieldType type_of_member(const api::Type* type, std::string_view name) {
  if (type == nullptr) return {};
  if (type->kind == api::TypeKind::kMap) return {nullptr, type->element};
  if (!type->is_struct()) return {};
  const api::Field* field = type->field(name);
  return field == nullptr ? FieldType{} : FieldType{field, field->type};
}

}  // namespace

json::Value three_way_patch(const api::Type* type, const Value& original, const Value& modified,
                            const Value& current) {
  Value patch = Value::object();
  for (auto [key, wanted] : modified.members()) {
    std::string name(key);
    const Value* there = current.find(key);
    if (there == nullptr || there->is_null()) {
      if (!wanted.is_null()) patch.set(name, wanted);
      continue;
    }
    FieldType member = type_of_member(type, key);
    if (wanted.is_object() && there->is_object()) {
      Value change = three_way_patch(member.type, original[key], wanted, *there);
      if (change.empty()) continue;
      if (member.field != nullptr && member.field->is(api::Field::kRetainKeys)) {
        retain_keys(change, wanted);
      }
      patch.set(name, std::move(change));
    } else if (wanted.is_array() && there->is_array()) {
      patch_list(member.field, name, original[key], wanted, *there, patch);
    } else if (!(wanted == *there)) {
      patch.set(name, wanted);
    }
  }
  for (auto [key, value] : original.members()) {
    if (!modified.has(key) && current.has(key)) patch.set(key, nullptr);
  }
  return patch;
}

json::Value with_last_applied(Value object) {
  Value& metadata = object.member("metadata");
  if (!metadata["annotations"].is_object()) metadata.set("annotations", Value::object());
  Value& annotations = metadata.member("annotations");
  annotations.erase(kLastApplied);
  std::string text = sorted_json(object) + "\n";
  object.member("metadata").member("annotations").set(kLastApplied, text);
  return object;
}

}  // namespace knarr::kubectl
