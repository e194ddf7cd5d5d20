#include "api/codec/decoder.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "api/codec/json_scan.h"
#include "api/codec/scalars.h"
#include "api/codec/zero.h"
#include "api/quantity.h"
#include "base/base64.h"
#include "base/json_text.h"

namespace knarr::api {

namespace {

constexpr size_t kMaxSteps = 1000;        // deeper values are refused: the walk recurses
constexpr size_t kMaxStrictErrors = 100;  // as upstream

// What Go calls the JSON value that starts with this byte.
const char* json_word(char c) {
  switch (c) {
    case '{': return "object";
    case '[': return "array";
    case '"': return "string";
    case 't':
    case 'f': return "bool";
    default: return "number";
  }
}

// The kind of Go value that unstructured content holds for a JSON value.
std::string converter_kind(char first, std::string_view literal) {
  switch (first) {
    case '{': return "map";
    case '[': return "slice";
    case '"': return "string";
    case 't':
    case 'f': return "bool";
    default: return literal.find_first_of(".eE") == literal.npos ? "int64" : "float64";
  }
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && is_json_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_json_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

}  // namespace

void Decoder::skip_space() {
  while (at_ < text_.size() && is_json_space(text_[at_])) at_++;
}

bool Decoder::next(char close, bool first) {
  if (aborted_) return false;
  if (first) at_++;
  skip_space();
  if (peek() == close) {
    at_++;
    return false;
  }
  if (!first) {
    at_++;  // the comma
    skip_space();
  }
  return true;
}

std::string_view Decoder::raw_string(bool& plain) {
  size_t start = ++at_;
  plain = true;
  while (true) {
    at_ = json::end_of_plain(text_, at_);
    if (text_[at_] == '"') break;
    if (text_[at_] == '\\') {
      plain = false;
      at_++;
    } else if (static_cast<signed char>(text_[at_]) < 0) {
      plain = false;
    }
    at_++;
  }
  return text_.substr(start, at_++ - start);
}

std::string Decoder::string() {
  bool plain;
  std::string_view raw = raw_string(plain);
  return plain ? std::string(raw) : unescape_json_string(raw);
}

json::Value Decoder::string_value() {
  bool plain;
  std::string_view raw = raw_string(plain);
  return plain ? json::Value(raw) : json::Value(unescape_json_string(raw));
}

// A key and its colon; a view into the text, or into `storage` when it had escapes.
std::string_view Decoder::key(std::string& storage) {
  bool plain;
  std::string_view raw = raw_string(plain);
  if (!plain) {
    storage = unescape_json_string(raw);
    raw = storage;
  }
  skip_space();
  at_++;
  skip_space();
  return raw;
}

std::string_view Decoder::literal() {
  size_t start = at_;
  skip();
  return text_.substr(start, at_ - start);
}

void Decoder::skip() { at_ = skip_json_value(text_, at_); }

bool Decoder::is_null() {
  if (peek() != 'n') return false;
  at_ += 4;
  return true;
}

// "spec.containers.livenessProbe.ProbeHandler.httpGet": the fields on the way, embedded structs
// included.
std::string Decoder::field_path() const {
  std::string path;
  auto add = [&](std::string_view name) {
    if (!path.empty()) path += '.';
    path += name;
  };
  for (const Step& step : steps_) {
    if (step.field == nullptr) continue;
    std::vector<const Inline*> embedded;
    for (const Inline* i = step.field->via; i != nullptr; i = i->outer) embedded.push_back(i);
    for (auto i = embedded.rbegin(); i != embedded.rend(); ++i) add((*i)->go_name);
    add(step.field->name());
  }
  return path;
}

void Decoder::type_error(const std::string& what, const char* go_type, bool fatal) {
  if (!fatal && !error_.empty()) return;
  const Type* owner = nullptr;
  for (const Step& step : steps_) owner = step.field != nullptr ? step.owner : owner;
  std::string message = "json: cannot unmarshal " + what + " into Go ";
  if (owner != nullptr) {
    message += std::string("struct field ") + owner->name + "." + field_path();
  } else {
    message += "value";
  }
  message += std::string(" of type ") + go_type;
  if (fatal) {
    fail(std::move(message));
  } else {
    error_ = std::move(message);
  }
}

void Decoder::mismatch(const Type& type) {
  if (words_ == ErrorWords::kJson) {
    type_error(json_word(peek()), type.go_name, false);
    skip();
    return;
  }
  char first = peek();
  std::string kind = converter_kind(first, literal());
  switch (type.kind) {
    case TypeKind::kStruct: return fail("cannot restore struct from: " + kind);
    case TypeKind::kMap: return fail("cannot restore map from " + kind);
    case TypeKind::kList: return fail("cannot restore slice from " + kind);
    default: break;
  }
  if (kind == "map") kind = "map[string]interface {}";
  if (kind == "slice") kind = "[]interface {}";
  fail("cannot convert " + kind + " to " + type.go_name);
}

void Decoder::mismatch_inside(const char* go_type) {
  type_error(json_word(peek()), go_type, true);
  skip();
}

void Decoder::fail(std::string message) {
  error_ = std::move(message);
  aborted_ = true;
}

void Decoder::strict_error(const char* kind, std::string_view name) {
  if (quiet_ > 0 || strict_.size() >= kMaxStrictErrors) return;
  std::string message = std::string(kind) + " field \"";
  for (const Step& step : steps_) {
    if (step.is_index) {
      message += "[" + std::to_string(step.index) + "]";
    } else {
      if (message.back() != '"') message += '.';
      message += step.key;
    }
  }
  if (message.back() != '"') message += '.';
  message += name;
  message += '"';
  if (std::find(strict_.begin(), strict_.end(), message) == strict_.end()) {
    strict_.push_back(std::move(message));
  }
}

void Decoder::decode(const Type& type, json::Value& into) {
  skip_space();
  if (steps_.size() > kMaxSteps) {
    fail("exceeded max depth");
    return;
  }
  if (is_null()) return;
  char c = peek();
  switch (type.kind) {
    case TypeKind::kString:
      if (c != '"') return mismatch(type);
      into = string_value();
      return;
    case TypeKind::kBool:
      if (c != 't' && c != 'f') return mismatch(type);
      into = json::Value(c == 't');
      skip();
      return;
    case TypeKind::kInt32:
    case TypeKind::kInt64: return decode_int(type, into);
    case TypeKind::kDouble: return decode_double(type, into);
    case TypeKind::kBytes: return decode_bytes(type, into);
    case TypeKind::kTime:
    case TypeKind::kMicroTime:
    case TypeKind::kDuration: return decode_text(type, into);
    case TypeKind::kQuantity: return decode_quantity(into);
    case TypeKind::kIntOrString: return decode_int_or_string(into);
    case TypeKind::kAny: return decode_any(into);
    case TypeKind::kStruct: return decode_struct(type, into);
    case TypeKind::kList: return decode_list(type, into);
    case TypeKind::kMap: return decode_map(type, into);
    case TypeKind::kSchemaOrArray:
    case TypeKind::kSchemaOrBool:
    case TypeKind::kSchemaOrStrings: return decode_schema_form(type, into);
  }
}

void Decoder::decode_struct(const Type& type, json::Value& into) {
  if (peek() != '{') return mismatch(type);
  bool merge = into.is_object();
  if (!merge) into = json::Value::object();
  std::vector<bool> seen(type.field_count);
  std::string storage;
  for (bool more = next('}', true); more; more = next('}', false)) {
    std::string_view name = key(storage);
    int index = type.field_index(name);
    if (index < 0) {
      strict_error("unknown", name);
      skip();
      continue;
    }
    if (seen[index]) strict_error("duplicate", name);
    decode_field(type, type.field_rows[index], seen[index] || merge, into);
    seen[index] = true;
  }
  if (!aborted_) add_missing(type, seen, into);
}

void Decoder::decode_field(const Type& type, const Field& field, bool repeated,
                           json::Value& object) {
  json::Value value;
  json::Value* earlier = repeated ? object.find(field.name()) : nullptr;
  if (earlier != nullptr) value = std::move(*earlier);
  steps_.push_back({&type, &field, field.name(), 0, false});
  decode(*field.type, value);
  steps_.pop_back();
  if (aborted_) return;
  bool zero = is_zero(*field.type, value);
  if (field.is(Field::kGateOff)) {
    zero = true;
    value = {};
  }
  if (zero && !field.is(Field::kPointer)) {
    if (!always_written(field)) {
      if (earlier != nullptr) object.erase(field.name());
      return;
    }
    if (value.is_null() || value.is_array() || value.is_object()) value = zero_value(field);
  }
  if (value.is_null() && !always_written(field)) {
    if (earlier != nullptr) object.erase(field.name());
    return;
  }
  if (earlier != nullptr) {
    *earlier = std::move(value);
  } else {
    object.set(field.name(), std::move(value));
  }
}

void Decoder::add_missing(const Type& type, const std::vector<bool>& seen, json::Value& object) {
  for (size_t i = 0; i < type.field_count; i++) {
    const Field& field = type.field_rows[i];
    if (seen[i] || !always_written(field) || object.has(field.name())) continue;
    object.set(field.name(), zero_value(field));
  }
}

void Decoder::decode_map(const Type& type, json::Value& into) {
  if (peek() != '{') return mismatch(type);
  bool merge = into.is_object();
  if (!merge) into = json::Value::object();
  std::vector<std::string> seen;  // only when the keys of `into` can't tell
  std::string storage;
  for (bool more = next('}', true); more; more = next('}', false)) {
    std::string_view name = key(storage);
    if (merge) {
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) strict_error("duplicate", name);
      seen.emplace_back(name);
    } else if (into.has(name)) {
      strict_error("duplicate", name);
    }
    steps_.push_back({nullptr, nullptr, name, 0, false});
    json::Value value;
    decode_element(*type.element, value);
    steps_.pop_back();
    if (!aborted_) into.set(name, std::move(value));
  }
}

void Decoder::decode_list(const Type& type, json::Value& into) {
  if (peek() != '[') return mismatch(type);
  into = json::Value::array();
  size_t index = 0;
  for (bool more = next(']', true); more; more = next(']', false)) {
    steps_.push_back({nullptr, nullptr, {}, index++, true});
    json::Value value;
    decode_element(*type.element, value);
    steps_.pop_back();
    if (!aborted_) into.push_back(std::move(value));
  }
}

void Decoder::decode_element(const Type& type, json::Value& into) {
  decode(type, into);
  if (into.is_null()) into = zero_element(type);
}

void Decoder::decode_int(const Type& type, json::Value& into) {
  if (peek() != '-' && (peek() < '0' || peek() > '9')) return mismatch(type);
  std::string_view digits = literal();
  int64_t value = 0;
  auto end = digits.data() + digits.size();
  auto parsed = std::from_chars(digits.data(), end, value);
  bool fits = parsed.ec == std::errc() && parsed.ptr == end &&
              (type.kind == TypeKind::kInt64 || (value >= INT32_MIN && value <= INT32_MAX));
  if (!fits) return type_error("number " + std::string(digits), type.go_name, false);
  into = json::Value(value);
}

void Decoder::decode_double(const Type& type, json::Value& into) {
  if (peek() != '-' && (peek() < '0' || peek() > '9')) return mismatch(type);
  std::string_view digits = literal();
  double value = 0;
  auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc()) {
    return type_error("number " + std::string(digits), type.go_name, false);
  }
  into = json::Value(value);
}

void Decoder::decode_bytes(const Type& type, json::Value& into) {
  if (peek() != '"') return mismatch(type);
  std::string encoded = string();
  auto bytes = base::base64_decode(encoded);
  if (!bytes.ok()) {
    if (error_.empty()) error_ = bytes.error().message;
    return;
  }
  into = json::Value(base::base64_encode(*bytes));
}

void Decoder::decode_text(const Type& type, json::Value& into) {
  if (peek() != '"') return mismatch_inside("string");
  std::string text = string();
  auto canonical = type.kind == TypeKind::kTime        ? canonical_time(text)
                   : type.kind == TypeKind::kMicroTime ? canonical_micro_time(text)
                                                       : canonical_duration(text);
  if (!canonical.ok()) return fail(canonical.error().message);
  // Go's zero moment reads as unset.
  if (canonical->starts_with("0001-01-01T00:00:00")) return;
  into = json::Value(*canonical);
}

void Decoder::decode_quantity(json::Value& into) {
  std::string text = peek() == '"' ? trimmed(string()) : std::string(literal());
  auto canonical = canonical_quantity(text);
  if (!canonical.ok()) return fail(canonical.error().message);
  into = json::Value(*canonical);
}

void Decoder::decode_int_or_string(json::Value& into) {
  if (peek() == '"') {
    into = string_value();
    return;
  }
  if (peek() != '-' && (peek() < '0' || peek() > '9')) return mismatch_inside("int32");
  std::string_view digits = literal();
  int32_t value = 0;
  auto end = digits.data() + digits.size();
  auto parsed = std::from_chars(digits.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return type_error("number " + std::string(digits), "int32", true);
  }
  into = json::Value(value);
}

void Decoder::decode_schema_form(const Type& type, json::Value& into) {
  quiet_++;
  char c = peek();
  if (c == '{') {
    decode_struct(*type.element, into);
  } else if (c == '[' && type.kind != TypeKind::kSchemaOrBool) {
    into = json::Value::array();
    for (bool more = next(']', true); more; more = next(']', false)) {
      json::Value element;
      if (type.kind == TypeKind::kSchemaOrArray) {
        decode_element(*type.element, element);
      } else if (peek() == '"') {
        element = string_value();
      } else {
        mismatch_inside("string");
      }
      into.push_back(std::move(element));
    }
  } else if (type.kind == TypeKind::kSchemaOrBool && (c == 't' || c == 'f')) {
    into = json::Value(c == 't');
    skip();
  } else if (type.kind == TypeKind::kSchemaOrBool) {
    fail("boolean or JSON schema expected");
  } else {
    skip();
  }
  quiet_--;
}

json::Value Decoder::any_number(std::string_view digits) {
  auto end = digits.data() + digits.size();
  int64_t integer = 0;
  if (auto parsed = std::from_chars(digits.data(), end, integer);
      parsed.ec == std::errc() && parsed.ptr == end) {
    return integer;
  }
  double value = 0;
  std::from_chars(digits.data(), end, value);
  return value;
}

void Decoder::decode_any_list(json::Value& into) {
  into = json::Value::array();
  size_t index = 0;
  for (bool more = next(']', true); more; more = next(']', false)) {
    steps_.push_back({nullptr, nullptr, {}, index++, true});
    json::Value element;
    decode_any(element);
    steps_.pop_back();
    into.push_back(std::move(element));
  }
}

void Decoder::decode_any_object(json::Value& into) {
  into = json::Value::object();
  std::string storage;
  for (bool more = next('}', true); more; more = next('}', false)) {
    std::string name(key(storage));
    if (any_duplicates_ && into.has(name)) strict_error("duplicate", name);
    steps_.push_back({nullptr, nullptr, name, 0, false});
    json::Value member;
    decode_any(member);
    steps_.pop_back();
    into.set(name, std::move(member));
  }
}

void Decoder::decode_any(json::Value& into) {
  skip_space();
  if (steps_.size() > kMaxSteps) return fail("exceeded max depth");
  switch (peek()) {
    case 'n': skip(); return;
    case '"': into = string_value(); return;
    case 't':
    case 'f':
      into = json::Value(peek() == 't');
      skip();
      return;
    case '[': return decode_any_list(into);
    case '{': return decode_any_object(into);
    default: into = any_number(literal());
  }
}

}  // namespace knarr::api
