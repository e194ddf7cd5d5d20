#include "api/apply/fields_of.h"

#include <algorithm>
#include <array>
#include <set>

namespace knarr::api {
namespace {

constexpr std::array<std::string_view, 9> kServerMetadata = {
    "name",        "namespace",  "creationTimestamp", "selfLink",       "uid",
    "clusterName", "generation", "managedFields",     "resourceVersion"};

bool is_server_metadata(std::string_view name) {
  return std::find(kServerMetadata.begin(), kServerMetadata.end(), name) != kServerMetadata.end();
}

const json::Value kNull;
const json::Value kEmptyStruct = json::Value::object();
const json::Value kEmptyString = json::Value("");
const json::Value kZero = json::Value(0);
const json::Value kFalse = json::Value(false);

// What Go writes for a member that is not set; nullptr when it writes nothing.
const json::Value* implicit(const Field& field) {
  if (field.is(Field::kOmitZero) || field.is(Field::kTypeMeta)) return nullptr;
  if (field.is(Field::kPointer)) return field.is(Field::kOmitEmpty) ? nullptr : &kNull;
  TypeKind kind = field.type->kind;
  if (kind == TypeKind::kStruct) return &kEmptyStruct;
  if (kind == TypeKind::kTime || kind == TypeKind::kMicroTime) return &kNull;
  if (field.is(Field::kOmitEmpty)) return nullptr;
  switch (kind) {
    case TypeKind::kString: return &kEmptyString;
    case TypeKind::kBool: return &kFalse;
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kDouble:
    case TypeKind::kIntOrString: return &kZero;
    default: return &kNull;
  }
}

// What Go would not write although the value holds it.
bool unwritten(const Field& field, const json::Value& v) {
  if (!field.is(Field::kOmitEmpty) || field.is(Field::kPointer)) return false;
  switch (v.kind()) {
    case json::Kind::kString: return v.as_string().empty();
    case json::Kind::kBool: return !v.as_bool();
    case json::Kind::kInt:
    case json::Kind::kUint: return v.as_int() == 0;
    case json::Kind::kArray: return v.empty();
    case json::Kind::kObject: return v.empty() && field.type->kind == TypeKind::kMap;
    default: return false;
  }
}

bool void_or_empty(const json::Value* v) { return v == nullptr || v->empty(); }

bool composite(const Type& type) {
  return type.kind == TypeKind::kStruct || type.kind == TypeKind::kList ||
         type.kind == TypeKind::kMap;
}

class Comparison {
 public:
  explicit Comparison(FieldChanges& out) : out_(out) {}

  // lhs, rhs: nullptr when absent; never both. Says whether anything was put into the sets.
  void visit(const Type& type, const Field* field, const json::Value* lhs, const json::Value* rhs,
             FieldSet& changed, FieldSet& removed) {
    bool leaf = owned_whole(type, field) || (void_or_empty(lhs) && void_or_empty(rhs));
    if (leaf) {
      if (rhs == nullptr) {
        removed.member = true;
      } else if (lhs == nullptr || !(*lhs == *rhs)) {
        changed.member = true;
      }
      return;
    }
    switch (type.kind) {
      case TypeKind::kStruct: visit_struct(type, lhs, rhs, changed, removed); break;
      case TypeKind::kMap: visit_map(type, lhs, rhs, changed, removed); break;
      default: visit_list(type, lhs, rhs, changed, removed); break;
    }
    if (lhs == nullptr) changed.member = true;
    if (rhs == nullptr) removed.member = true;
  }

  void visit_root(const Type& type, const json::Value& lhs, const json::Value& rhs) {
    for (const Field& field : type.fields()) {
      if (field.is(Field::kTypeMeta)) continue;
      const json::Value* l = present(lhs, field);
      const json::Value* r = present(rhs, field);
      if (l == nullptr && r == nullptr) continue;
      if (field.name() == "metadata") {
        FieldSet& c = out_.changed.at("f:metadata");
        FieldSet& d = out_.removed.at("f:metadata");
        for (const Field& meta : field.type->fields()) {
          if (!is_server_metadata(meta.name())) {
            member(meta, l == nullptr ? kEmptyStruct : *l, r == nullptr ? kEmptyStruct : *r, c, d);
          }
        }
        continue;
      }
      descend(field, l, r, out_.changed, out_.removed);
    }
  }

 private:
  static const json::Value* present(const json::Value& object, const Field& field) {
    if (!object.is_object()) return nullptr;
    const json::Value* v = object.find(field.name());
    bool there = v != nullptr && !v->is_null() && !unwritten(field, *v);
    return there ? v : implicit(field);
  }

  void descend(const Field& field, const json::Value* l, const json::Value* r, FieldSet& changed,
               FieldSet& removed) {
    if (l != nullptr && r != nullptr && *l == *r) return;
    std::string element = "f:" + std::string(field.name());
    visit(*field.type, &field, l, r, changed.at(element), removed.at(element));
  }

  void member(const Field& field, const json::Value& lhs, const json::Value& rhs, FieldSet& changed,
              FieldSet& removed) {
    const json::Value* l = present(lhs, field);
    const json::Value* r = present(rhs, field);
    if (l != nullptr || r != nullptr) descend(field, l, r, changed, removed);
  }

  void visit_struct(const Type& type, const json::Value* lhs, const json::Value* rhs,
                    FieldSet& changed, FieldSet& removed) {
    const json::Value& l = lhs == nullptr ? kNull : *lhs;
    const json::Value& r = rhs == nullptr ? kNull : *rhs;
    for (const Field& field : type.fields()) member(field, l, r, changed, removed);
  }

  void visit_map(const Type& type, const json::Value* lhs, const json::Value* rhs,
                 FieldSet& changed, FieldSet& removed) {
    auto item = [&](std::string_view key, const json::Value* l, const json::Value* r) {
      if (l != nullptr && r != nullptr && *l == *r) return;
      std::string element = "f:" + std::string(key);
      visit(*type.element, nullptr, l, r, changed.at(element), removed.at(element));
    };
    if (rhs != nullptr) {
      for (json::Member m : rhs->members()) {
        item(m.key, lhs == nullptr ? nullptr : lhs->find(m.key), &m.value);
      }
    }
    if (lhs == nullptr) return;
    for (json::Member m : lhs->members()) {
      if (rhs == nullptr || !rhs->has(m.key)) item(m.key, &m.value, nullptr);
    }
  }

  void visit_list(const Type& type, const json::Value* lhs, const json::Value* rhs,
                  FieldSet& changed, FieldSet& removed) {
    static const std::vector<std::string> none;
    auto lp = lhs == nullptr ? none : element_paths(type, *lhs);
    auto rp = rhs == nullptr ? none : element_paths(type, *rhs);
    if (!lp || !rp) {  // elements that cannot be told apart: the list is one piece
      if (lhs == nullptr || rhs == nullptr || !(*lhs == *rhs)) changed.member = true;
      return;
    }
    std::map<std::string_view, const json::Value*> left;
    for (size_t i = 0; i < lp->size(); i++) left.emplace((*lp)[i], &(*lhs)[i]);
    std::set<std::string_view> seen;
    for (size_t i = 0; i < rp->size(); i++) {
      const std::string& path = (*rp)[i];
      seen.insert(path);
      auto it = left.find(path);
      const json::Value* l = it == left.end() ? nullptr : it->second;
      const json::Value* r = &(*rhs)[i];
      if (l != nullptr && *l == *r) continue;
      visit(*type.element, nullptr, l, r, changed.at(path), removed.at(path));
    }
    for (const auto& [path, l] : left) {
      if (!seen.contains(path)) {
        visit(*type.element, nullptr, l, nullptr, changed.at(path), removed.at(path));
      }
    }
  }

  FieldChanges& out_;
};

void collect(const Type& type, const Field* field, const json::Value& value, FieldSet& out) {
  if (owned_whole(type, field)) {
    out.member = true;
    return;
  }
  switch (type.kind) {
    case TypeKind::kStruct:
      for (json::Member m : value.members()) {
        const Field* f = type.field(m.key);
        if (f == nullptr) continue;
        FieldSet& inner = out.at("f:" + std::string(m.key));
        collect(*f->type, f, m.value, inner);
        if (m.value.is_null() || (m.value.is_object() && m.value.empty())) inner.member = true;
      }
      break;
    case TypeKind::kMap:
      for (json::Member m : value.members()) {
        FieldSet& inner = out.at("f:" + std::string(m.key));
        collect(*type.element, nullptr, m.value, inner);
        inner.member = true;
      }
      break;
    default:
      for (const json::Value& element : value.elements()) {
        std::optional<std::string> path = element_path(type, element);
        if (!path) continue;
        FieldSet& inner = out.at(*path);
        collect(*type.element, nullptr, element, inner);
        inner.member = true;
      }
  }
}

}  // namespace

bool owned_whole(const Type& type, const Field* field) {
  if (!composite(type)) return true;
  if (field != nullptr && field->is(Field::kAtomic)) return true;
  return type.merge == Merge::kAtomic;
}

std::optional<std::string> element_path(const Type& list, const json::Value& element) {
  if (list.merge == Merge::kSet) return "v:" + json::write(element);
  std::vector<std::string_view> keys(list.merge_keys().begin(), list.merge_keys().end());
  std::sort(keys.begin(), keys.end());
  std::string out = "k:{";
  for (std::string_view key : keys) {
    const json::Value* value = element.find(key);
    json::Value fallback;
    if (value == nullptr || value->is_null()) {
      const Field* field = list.element->field(key);
      if (field == nullptr) return std::nullopt;
      if (field->facts->default_json != nullptr) {
        Result<json::Value> parsed = json::parse(field->facts->default_json);
        if (parsed.ok()) fallback = *std::move(parsed);
      } else if (implicit(*field) != nullptr) {
        fallback = *implicit(*field);
      } else {
        continue;
      }
      value = &fallback;
    }
    if (out.size() > 3) out += ',';
    json::append_quoted(out, key);
    out += ':';
    json::append(out, *value);
  }
  return out + "}";
}

std::optional<std::vector<std::string>> element_paths(const Type& list, const json::Value& value) {
  std::vector<std::string> out;
  std::set<std::string_view> seen;
  out.reserve(value.size());
  for (const json::Value& element : value.elements()) {
    std::optional<std::string> path = element_path(list, element);
    if (!path) return std::nullopt;
    out.push_back(*std::move(path));
    if (!seen.insert(out.back()).second) return std::nullopt;
  }
  return out;
}

FieldSet fields_of(const Type& type, const json::Value& value) {
  FieldSet out;
  collect(type, nullptr, value, out);
  out.member = false;
  out.prune();
  return out;
}

FieldChanges compare_objects(const Type& type, const json::Value& old, const json::Value& now) {
  FieldChanges out;
  Comparison(out).visit_root(type, old, now);
  out.changed.prune();
  out.removed.prune();
  return out;
}

void strip_unowned(FieldSet& set) {
  set.children.erase("f:apiVersion");
  set.children.erase("f:kind");
  auto meta = set.children.find("f:metadata");
  if (meta == set.children.end()) return;
  meta->second.member = false;
  for (std::string_view name : kServerMetadata) {
    meta->second.children.erase("f:" + std::string(name));
  }
  if (meta->second.empty()) set.children.erase(meta);
}

}  // namespace knarr::api
