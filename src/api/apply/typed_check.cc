#include "api/apply/typed_check.h"

#include <optional>
#include <set>
#include <vector>

#include "api/apply/field_set.h"
#include "api/apply/fields_of.h"
#include "api/patch/go_text.h"
#include "base/format.h"

namespace knarr::api {
namespace {

enum class Scalar { kString, kBool, kNumber, kAny };

Scalar scalar_of(TypeKind kind) {
  switch (kind) {
    case TypeKind::kString:
    case TypeKind::kBytes:
    case TypeKind::kDuration: return Scalar::kString;
    case TypeKind::kBool: return Scalar::kBool;
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kDouble: return Scalar::kNumber;
    default: return Scalar::kAny;
  }
}

// Of a value read from JSON, as Go's %T names it.
std::string go_type(const json::Value& value) {
  switch (value.kind()) {
    case json::Kind::kString: return "string";
    case json::Kind::kBool: return "bool";
    case json::Kind::kArray: return "[]interface {}";
    case json::Kind::kObject: return "map[string]interface {}";
    case json::Kind::kDouble: return "float64";
    default: return "int64";
  }
}

// As Go's %#v prints it.
std::string go_syntax(const json::Value& value) {
  switch (value.kind()) {
    case json::Kind::kArray: {
      std::string out;
      for (const json::Value& one : value.elements()) {
        out += (out.empty() ? "" : ", ") + go_syntax(one);
      }
      return "[]interface {}{" + out + "}";
    }
    case json::Kind::kObject: {
      std::string out;
      for (auto [key, member] : value.members()) {
        out += (out.empty() ? "" : ", ") + json::write(json::Value(key)) + ":" + go_syntax(member);
      }
      return "map[string]interface {}{" + out + "}";
    }
    case json::Kind::kNull: return "interface {}(nil)";
    default: return json::write(value);
  }
}

class Check {
 public:
  void walk(const Type& type, const Field* field, const json::Value& value,
            const std::string& path) {
    switch (type.kind) {
      case TypeKind::kStruct: return walk_struct(type, value, path);
      case TypeKind::kMap: return walk_map(type, value, path);
      case TypeKind::kList: return walk_list(type, field, value, path);
      case TypeKind::kAny:
      case TypeKind::kSchemaOrArray:
      case TypeKind::kSchemaOrBool:
      case TypeKind::kSchemaOrStrings: return;
      default: return walk_scalar(scalar_of(type.kind), value, path);
    }
  }

  std::string text() const {
    if (problems_.size() == 1) return problems_[0];
    std::string out;
    for (const std::string& one : problems_) out += (out.empty() ? "errors:\n  " : "\n  ") + one;
    return out;
  }

 private:
  void add(const std::string& path, const std::string& what) {
    problems_.push_back(path.empty() ? what : path + ": " + what);
  }

  void walk_scalar(Scalar wanted, const json::Value& value, const std::string& path) {
    if (value.is_null()) return;
    bool composite = value.is_array() || value.is_object();
    if (wanted == Scalar::kNumber && !value.is_number()) {
      add(path, "expected numeric (int or float), got " + go_type(value));
    } else if (wanted == Scalar::kString && !value.is_string()) {
      add(path, "expected string, got &value.valueUnstructured{Value:" + go_syntax(value) + "}");
    } else if (wanted == Scalar::kBool && !value.is_bool()) {
      add(path, "expected boolean, got &{" + go_text(value) + "}");
    } else if (wanted == Scalar::kAny && composite) {
      add(path, "expected any scalar, got &{" + go_text(value) + "}");
    }
  }

  bool is_map(const json::Value& value, const std::string& path) {
    if (value.is_null() || value.is_object()) return true;
    add(path, "expected map, got &{" + go_text(value) + "}");
    return false;
  }

  void walk_struct(const Type& type, const json::Value& value, const std::string& path) {
    if (!is_map(value, path)) return;
    for (auto [key, member] : value.members()) {
      std::string at = path + "." + std::string(key);
      const Field* field = type.field(key);
      if (field == nullptr) {
        add(at, "field not declared in schema");
        return;
      }
      walk(*field->type, field, member, at);
    }
  }

  void walk_map(const Type& type, const json::Value& value, const std::string& path) {
    if (!is_map(value, path)) return;
    for (auto [key, member] : value.members()) {
      walk(*type.element, nullptr, member, path + "." + std::string(key));
    }
  }

  // The place of an element; none when it has no place, which ends the list.
  std::optional<std::string> place(const Type& list, const json::Value& element, size_t index,
                                   const std::string& path) {
    auto wrong = [&](const std::string& what) {
      add(path, fmt::format("element {}: {}", index, what));
      return std::nullopt;
    };
    if (list.merge == Merge::kSet) {
      if (element.is_object()) {
        return wrong("associative list without keys has an element that's a map type");
      }
      if (element.is_array()) {
        return wrong("not supported: associative list with lists as elements");
      }
      if (element.is_null()) {
        return wrong("associative list without keys has an element that's an explicit null");
      }
      return element_path(list, element);
    }
    if (element.is_null()) return wrong("associative list with keys may not have a null element");
    if (!element.is_object()) {
      return wrong("associative list with keys may not have non-map elements");
    }
    bool any = false;
    for (const char* key : list.merge_keys()) {
      const Field* field = list.element->field(key);
      if (element.has(key)) any = true;
      if (field == nullptr) continue;
      // What Go always writes has a default in the published schema.
      bool written = !field->is(Field::kOmitEmpty) && !field->is(Field::kPointer);
      any |= written || field->facts->default_json != nullptr;
    }
    if (any) return element_path(list, element);
    std::string keys;
    for (const char* key : list.merge_keys()) {
      keys += (keys.empty() ? "" : " ") + json::write(json::Value(key));
    }
    return wrong("associative list with keys has an element that omits all key fields [" + keys +
                 "] (and doesn't have default values for any key fields)");
  }

  void walk_list(const Type& type, const Field* field, const json::Value& value,
                 const std::string& path) {
    if (value.is_null()) return;
    if (!value.is_array()) return add(path, "expected list, got &{" + go_text(value) + "}");
    bool keyed = !owned_whole(type, field);
    std::set<std::string> seen;
    size_t i = 0;
    for (const json::Value& element : value.elements()) {
      size_t index = i++;
      std::string at = "[" + std::to_string(index) + "]";
      if (keyed) {
        std::optional<std::string> where = place(type, element, index, path);
        if (!where) return;
        at = shown_element(*where);
        if (!seen.insert(*where).second) add(path, "duplicate entries for key " + at);
      }
      walk(*type.element, nullptr, element, path + at);
    }
  }

  std::vector<std::string> problems_;
};

}  // namespace

std::string typed_problem(const Type& type, const json::Value& config) {
  Check check;
  check.walk(type, nullptr, config, "");
  return check.text();
}

}  // namespace knarr::api
