#include "api/codec/zero.h"

namespace knarr::api {

namespace {

json::Value zero_struct(const Type& type) {
  json::Value out = json::Value::object();
  for (const Field& field : type.fields()) {
    if (always_written(field)) out.set(field.name(), zero_value(field));
  }
  return out;
}

}  // namespace

bool is_go_struct(const Type& type) {
  switch (type.kind) {
    case TypeKind::kString:
    case TypeKind::kBool:
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kDouble:
    case TypeKind::kBytes:
    case TypeKind::kList:
    case TypeKind::kMap: return false;
    default: return true;
  }
}

bool always_written(const Field& field) {
  if (!field.is(Field::kOmitEmpty) && !field.is(Field::kOmitZero)) return true;
  return !field.is(Field::kPointer) && !field.is(Field::kOmitZero) && is_go_struct(*field.type);
}

json::Value zero_element(const Type& type) {
  switch (type.kind) {
    case TypeKind::kString: return "";
    case TypeKind::kBool: return false;
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kIntOrString: return 0;
    case TypeKind::kDouble: return 0;
    case TypeKind::kDuration: return "0s";
    case TypeKind::kQuantity: return "0";
    case TypeKind::kStruct: return zero_struct(type);
    default: return {};
  }
}

json::Value zero_value(const Field& field) {
  return field.is(Field::kPointer) ? json::Value() : zero_element(*field.type);
}

bool is_zero(const Type& type, const json::Value& value) {
  switch (type.kind) {
    case TypeKind::kString:
    case TypeKind::kBytes: return value.as_string().empty() && !value.is_number();
    case TypeKind::kBool: return !value.as_bool();
    case TypeKind::kInt32:
    case TypeKind::kInt64: return value.as_int() == 0;
    case TypeKind::kDouble: return value.as_double() == 0;
    case TypeKind::kList:
    case TypeKind::kMap: return value.empty();
    default: return value.is_null();
  }
}

}  // namespace knarr::api
