#include "api/codec/decode.h"

#include "api/codec/decoder.h"
#include "api/codec/encode.h"
#include "api/codec/json_scan.h"
#include "api/codec/zero.h"

namespace knarr::api {

namespace {

void canonicalize_members(const Type& type, json::Value& value);

void canonicalize_value(const Type& type, json::Value& value) {
  switch (type.kind) {
    case TypeKind::kStruct:
      if (value.is_object()) canonicalize_members(type, value);
      return;
    case TypeKind::kList:
      for (json::Value& element : value.elements()) {
        if (element.is_null()) element = zero_element(*type.element);
        canonicalize_value(*type.element, element);
      }
      return;
    case TypeKind::kMap:
      for (json::Member member : value.members()) {
        if (member.value.is_null()) member.value = zero_element(*type.element);
        canonicalize_value(*type.element, member.value);
      }
      return;
    default: return;
  }
}

void canonicalize_members(const Type& type, json::Value& value) {
  json::Value out = json::Value::object();
  for (const Field& field : type.fields()) {
    json::Value* member = value.find(field.name());
    bool zero = member == nullptr || member->is_null() ||
                (!field.is(Field::kPointer) && is_zero(*field.type, *member));
    if (zero) {
      if (always_written(field)) out.set(field.name(), zero_value(field));
      continue;
    }
    canonicalize_value(*field.type, *member);
    out.set(field.name(), std::move(*member));
  }
  value = std::move(out);
}

}  // namespace

namespace {

Result<Decoded> run(const Type& type, std::string_view text, ErrorWords words) {
  Decoder decoder(text, words);
  Decoded out;
  decoder.decode(type, out.value);
  if (!decoder.error().empty()) return make_error(Code::kBadRequest, decoder.error());
  if (out.value.is_null()) out.value = zero_element(type);
  out.strict_errors = decoder.take_strict_errors();
  return out;
}

}  // namespace

Result<Decoded> decode_json(const Type& type, std::string_view text) {
  TRY(check_json(text));
  return run(type, text, ErrorWords::kJson);
}

Result<Decoded> decode_any(std::string_view text) {
  TRY(check_json(text));
  Decoder decoder(text);
  decoder.note_any_duplicates();
  Decoded out;
  decoder.decode(any_type(), out.value);
  if (!decoder.error().empty()) return make_error(Code::kBadRequest, decoder.error());
  out.strict_errors = decoder.take_strict_errors();
  return out;
}

Result<Decoded> decode_value(const Type& type, const json::Value& value, ErrorWords words) {
  std::string text;
  append_any_json(text, value);
  return run(type, text, words);
}

std::string strict_error_text(const std::vector<std::string>& strict_errors) {
  std::string out = "strict decoding error: ";
  for (size_t i = 0; i < strict_errors.size(); i++) {
    if (i > 0) out += ", ";
    out += strict_errors[i];
  }
  return out;
}

void canonicalize(const Type& type, json::Value& value) { canonicalize_value(type, value); }

}  // namespace knarr::api
