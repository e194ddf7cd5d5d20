#include "api/schema/defaults.h"

#include <charconv>
#include <string>

#include "api/codec/zero.h"

namespace knarr::api {

namespace {

// The catalogue's JSON of a fill; the everyday forms without a parser.
json::Value fill_value(std::string_view json) {
  if (json.size() >= 2 && json.front() == '"' && json.find('\\') == std::string_view::npos) {
    return json.substr(1, json.size() - 2);
  }
  if (json == "{}") return json::Value::object();
  if (json == "true" || json == "false") return json == "true";
  int64_t number = 0;
  auto parsed = std::from_chars(json.data(), json.data() + json.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == json.data() + json.size()) return number;
  auto value = json::parse(json);
  CHECK(value.ok());
  return std::move(*value);
}

bool unset(const Field& field, const json::Value* value) {
  if (value == nullptr || value->is_null()) return true;
  return !field.is(Field::kPointer) && is_zero(*field.type, *value);
}

// Amounts finer than a thousandth are rounded up to one. Canonical texts show the fine ones by
// their suffix.
void round_resources(json::Value& list) {
  for (json::Member member : list.members()) {
    std::string_view text = member.value.as_string();
    if (text.empty() || (text.back() != 'n' && text.back() != 'u')) continue;
    int64_t amount = 0;
    std::from_chars(text.data(), text.data() + text.size() - 1, amount);
    int64_t scale = text.back() == 'n' ? 1000000 : 1000;
    int64_t milli = amount > 0 ? (amount + scale - 1) / scale : amount / scale;
    member.value = json::Value(std::to_string(milli) + "m");
  }
}

void walk(const Type& type, json::Value& value) {
  if (!type.has_defaults) return;
  switch (type.kind) {
    case TypeKind::kList:
      for (json::Value& element : value.elements()) walk(*type.element, element);
      return;
    case TypeKind::kMap:
      if (type.element->kind == TypeKind::kQuantity) return round_resources(value);
      for (json::Member member : value.members()) walk(*type.element, member.value);
      return;
    case TypeKind::kStruct: break;
    default: return;
  }
  if (!value.is_object()) return;
  for (const Field& field : type.fields()) {
    if (field.facts->fill_json == nullptr || field.is(Field::kGateOff)) continue;
    if (unset(field, value.find(field.name()))) {
      value.set(field.name(), fill_value(field.facts->fill_json));
    }
  }
  if (type.default_hook != nullptr) type.default_hook(value);
  for (const Field& field : type.fields()) {
    if (!field.type->has_defaults) continue;
    json::Value* member = value.find(field.name());
    if (member != nullptr) {
      walk(*field.type, *member);
    } else if (field.type->is_struct() && !field.is(Field::kPointer)) {
      // A struct that was not given is there all the same, empty.
      json::Value made = json::Value::object();
      walk(*field.type, made);
      if (!made.empty()) value.set(field.name(), std::move(made));
    }
  }
}

}  // namespace

void apply_defaults(const Type& type, json::Value& value) { walk(type, value); }

}  // namespace knarr::api
