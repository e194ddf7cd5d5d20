#include "api/codec/encode.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "api/codec/json_scan.h"
#include "api/codec/scalars.h"
#include "api/codec/zero.h"

namespace knarr::api {

namespace {

void append_integer(std::string& out, const json::Value& value) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value.as_int()).ptr);
}

void append_map(std::string& out, const Type* element, const json::Value& value) {
  std::vector<std::pair<std::string_view, const json::Value*>> sorted;
  sorted.reserve(value.size());
  for (json::Member member : value.members()) sorted.emplace_back(member.key, &member.value);
  std::sort(sorted.begin(), sorted.end());
  out += '{';
  bool first = true;
  for (const auto& [key, member] : sorted) {
    if (!first) out += ',';
    first = false;
    json::append_quoted(out, key);
    out += ':';
    append_json(out, *element, *member);
  }
  out += '}';
}

void append_list(std::string& out, const Type* element, const json::Value& value) {
  out += '[';
  bool first = true;
  for (const json::Value& item : value.elements()) {
    if (!first) out += ',';
    first = false;
    if (element != nullptr) {
      append_json(out, *element, item);
    } else {
      append_any_json(out, item);
    }
  }
  out += ']';
}

// A field that was never set, or is zero: null for what Go writes as null, else its zero.
void append_zero(std::string& out, const Field& field) {
  if (field.is(Field::kPointer)) {
    out += "null";
    return;
  }
  switch (field.type->kind) {
    case TypeKind::kStruct: append_json(out, *field.type, json::Value::object()); break;
    case TypeKind::kString: out += "\"\""; break;
    default: append_any_json(out, zero_value(field));
  }
}

void append_struct(std::string& out, const Type& type, const json::Value& value) {
  constexpr size_t kMost = 128;
  const json::Value* found[kMost] = {};
  size_t count = std::min<size_t>(type.field_count, kMost);
  for (json::Member member : value.members()) {
    int index = type.field_index(member.key);
    if (index >= 0 && index < static_cast<int>(kMost)) found[index] = &member.value;
  }
  out += '{';
  bool first = true;
  for (size_t i = 0; i < count; i++) {
    const Field& field = type.field_rows[i];
    const json::Value* member = found[i];
    bool zero = member == nullptr || member->is_null() ||
                (!field.is(Field::kPointer) && is_zero(*field.type, *member));
    if (zero && !always_written(field)) continue;
    if (!first) out += ',';
    first = false;
    out += '"';
    out += field.name();
    out += "\":";
    if (zero) {
      append_zero(out, field);
    } else {
      append_json(out, *field.type, *member);
    }
  }
  out += '}';
}

}  // namespace

void append_any_json(std::string& out, const json::Value& value) {
  switch (value.kind()) {
    case json::Kind::kNull: out += "null"; break;
    case json::Kind::kBool: out += value.as_bool() ? "true" : "false"; break;
    case json::Kind::kInt: append_integer(out, value); break;
    case json::Kind::kUint: json::append(out, value); break;
    case json::Kind::kDouble: append_double(out, value.as_double()); break;
    case json::Kind::kString: json::append_quoted(out, value.as_string()); break;
    case json::Kind::kArray: append_list(out, nullptr, value); break;
    case json::Kind::kObject: {
      out += '{';
      bool first = true;
      for (json::Member member : value.members()) {
        if (!first) out += ',';
        first = false;
        json::append_quoted(out, member.key);
        out += ':';
        append_any_json(out, member.value);
      }
      out += '}';
    }
  }
}

void append_json(std::string& out, const Type& type, const json::Value& value) {
  switch (type.kind) {
    case TypeKind::kStruct: append_struct(out, type, value); return;
    case TypeKind::kList:
      if (value.is_array()) return append_list(out, type.element, value);
      break;
    case TypeKind::kMap:
      if (value.is_object()) return append_map(out, type.element, value);
      break;
    case TypeKind::kSchemaOrArray:
    case TypeKind::kSchemaOrBool:
    case TypeKind::kSchemaOrStrings:
      if (value.is_object()) return append_struct(out, *type.element, value);
      if (value.is_array() && type.kind == TypeKind::kSchemaOrArray) {
        return append_list(out, type.element, value);
      }
      break;
    default: break;
  }
  append_any_json(out, value);
}

std::string encode_json(const Type& type, const json::Value& value) {
  std::string out;
  out.reserve(1024);
  append_json(out, type, value);
  return out;
}

namespace {

// The position after `"<key>":` among the members of the object that starts at `object`; npos when
// it has no such member.
size_t find_member(std::string_view json, size_t object, std::string_view key) {
  size_t at = object + 1;
  while (at < json.size() && json[at] == '"') {
    size_t name_end = skip_json_value(json, at);
    std::string_view name = json.substr(at + 1, name_end - at - 2);
    size_t value = name_end + 1;
    if (name == key) return value;
    at = skip_json_value(json, value);
    if (at >= json.size() || json[at] != ',') break;
    at++;
  }
  return std::string_view::npos;
}

struct VersionPlace {
  bool found = false;
  size_t value = 0;  // of the member, when it is there
  size_t after = 0;  // else where it belongs: behind the members that precede it, or behind the {
};

// In canonical JSON only these stand before it in ObjectMeta and ListMeta: the long rest of the
// metadata needs no look.
VersionPlace find_version(std::string_view json, size_t metadata) {
  constexpr std::string_view kBefore[] = {"name", "generateName", "namespace", "selfLink", "uid"};
  VersionPlace place;
  place.after = metadata + 1;
  for (size_t at = metadata + 1; json[at] == '"'; at++) {
    size_t name_end = skip_json_value(json, at);
    std::string_view name = json.substr(at + 1, name_end - at - 2);
    if (name == "resourceVersion") {
      place.found = true;
      place.value = name_end + 1;
      return place;
    }
    if (std::find(std::begin(kBefore), std::end(kBefore), name) == std::end(kBefore)) break;
    at = place.after = skip_json_value(json, name_end + 1);
    if (json[at] != ',') break;
  }
  return place;
}

std::string without_version(std::string_view json, size_t value) {
  size_t end = skip_json_value(json, value);
  size_t begin = value - std::string_view("\"resourceVersion\":").size();
  if (json[begin - 1] == ',') {
    begin--;
  } else if (json[end] == ',') {
    end++;
  }
  std::string out(json.substr(0, begin));
  return out.append(json, end);
}

}  // namespace

std::string with_resource_version(std::string_view json, int64_t revision) {
  size_t metadata = find_member(json, 0, "metadata");
  if (metadata == std::string_view::npos || json[metadata] != '{') return std::string(json);
  VersionPlace place = find_version(json, metadata);
  if (revision == 0) return place.found ? without_version(json, place.value) : std::string(json);
  std::string text = "\"" + std::to_string(revision) + "\"";
  std::string out;
  out.reserve(json.size() + 40);
  if (place.found) {
    out.append(json, 0, place.value).append(text);
    out.append(json, skip_json_value(json, place.value));
    return out;
  }
  bool first = place.after == metadata + 1;
  out.append(json, 0, place.after).append(first ? "" : ",");
  out.append("\"resourceVersion\":").append(text);
  if (first && json[place.after] != '}') out += ',';
  out.append(json, place.after);
  return out;
}

}  // namespace knarr::api
