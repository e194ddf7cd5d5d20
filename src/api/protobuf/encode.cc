#include <algorithm>
#include <cstring>

#include "api/duration.h"
#include "api/protobuf/layout.h"
#include "api/protobuf/protobuf.h"
#include "base/base64.h"
#include "base/time.h"

namespace knarr::api {
namespace {

using json::Value;

void put_varint(std::string& out, uint64_t v) {
  while (v >= 128) {
    out += static_cast<char>(v | 128);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

void put_tag(std::string& out, int number, int wire) {
  put_varint(out, static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(wire));
}

void put_int(std::string& out, int number, int64_t v) {
  put_tag(out, number, 0);
  put_varint(out, static_cast<uint64_t>(v));
}

void put_bytes(std::string& out, int number, std::string_view bytes) {
  put_tag(out, number, 2);
  put_varint(out, bytes.size());
  out.append(bytes);
}

void put_value(std::string& out, int number, const Type& type, const Value& value);

std::string struct_message(const Type& type, const Inline* level, const Value& value);

std::string time_message(const Value& value) {
  std::string out;
  Result<int64_t> us = base::parse_time(value.as_string());
  if (value.as_string().empty() || !us.ok()) return out;
  int64_t seconds = *us / 1000000;
  int64_t rest = *us % 1000000;
  if (rest < 0) {
    rest += 1000000;
    seconds--;
  }
  put_int(out, 1, seconds);
  put_int(out, 2, rest * 1000);
  return out;
}

std::string int_or_string_message(const Value& value) {
  std::string out;
  put_int(out, 1, value.is_string() ? 1 : 0);
  put_int(out, 2, value.is_string() ? 0 : value.as_int());
  put_bytes(out, 3, value.as_string());
  return out;
}

std::string raw_message(const Value& value) {
  std::string out;
  if (!value.is_null()) put_bytes(out, 1, json::write(value));
  return out;
}

std::string schema_form_message(const Type& type, const Value& value) {
  std::string out;
  if (type.kind == TypeKind::kSchemaOrBool) {
    put_int(out, 1, value.is_bool() ? value.as_bool() : 1);
    if (value.is_object()) put_bytes(out, 2, struct_message(*type.element, nullptr, value));
    return out;
  }
  if (value.is_object()) put_bytes(out, 1, struct_message(*type.element, nullptr, value));
  for (const Value& e : value.elements()) {
    put_bytes(out, 2,
              type.kind == TypeKind::kSchemaOrStrings ? e.text()
                                                      : struct_message(*type.element, nullptr, e));
  }
  return out;
}

// A list where a single value is expected (map<string>[]string) is a message of items.
std::string items_message(const Type& list, const Value& value) {
  std::string out;
  for (const Value& e : value.elements()) put_value(out, 1, *list.element, e);
  return out;
}

std::string message_of(const Type& type, const Value& value) {
  switch (type.kind) {
    case TypeKind::kStruct: return struct_message(type, nullptr, value);
    case TypeKind::kTime:
    case TypeKind::kMicroTime: return time_message(value);
    case TypeKind::kDuration: {
      std::string out;
      Result<int64_t> ns = parse_duration(value.as_string());
      put_int(out, 1, ns.ok() ? *ns : 0);
      return out;
    }
    case TypeKind::kQuantity: {
      std::string out;
      put_bytes(out, 1, value.as_string());
      return out;
    }
    case TypeKind::kIntOrString: return int_or_string_message(value);
    case TypeKind::kList: return items_message(type, value);
    case TypeKind::kAny: return raw_message(value);
    default: return schema_form_message(type, value);
  }
}

void put_value(std::string& out, int number, const Type& type, const Value& value) {
  switch (type.kind) {
    case TypeKind::kString: return put_bytes(out, number, value.as_string());
    case TypeKind::kBytes: {
      auto bytes = base::base64_decode(value.as_string());
      return put_bytes(out, number, bytes.ok() ? *bytes : std::string());
    }
    case TypeKind::kBool: return put_int(out, number, value.as_bool());
    case TypeKind::kInt32:
    case TypeKind::kInt64: return put_int(out, number, value.as_int());
    case TypeKind::kDouble: {
      put_tag(out, number, 1);
      double d = value.as_double();
      char raw[8];
      std::memcpy(raw, &d, 8);
      out.append(raw, 8);
      return;
    }
    default: return put_bytes(out, number, message_of(type, value));
  }
}

void put_map(std::string& out, int number, const Type& type, const Value& value) {
  std::vector<std::string_view> keys;
  for (json::Member m : value.members()) keys.push_back(m.key);
  std::sort(keys.begin(), keys.end());
  for (std::string_view key : keys) {
    std::string entry;
    put_bytes(entry, 1, key);
    put_value(entry, 2, *type.element, value[key]);
    put_bytes(out, number, entry);
  }
}

void put_field(std::string& out, const Field& field, const Value& value) {
  const Type& type = *field.type;
  if (type.kind == TypeKind::kList && field.is(Field::kWrapped)) {
    return put_bytes(out, field.number, items_message(type, value));
  }
  if (type.kind == TypeKind::kList) {
    for (const Value& e : value.elements()) put_value(out, field.number, *type.element, e);
    return;
  }
  if (type.kind == TypeKind::kMap) return put_map(out, field.number, type, value);
  if (value.is_null() && (field.is(Field::kPointer) || type.kind == TypeKind::kBytes)) return;
  put_value(out, field.number, type, value);
}

std::string struct_message(const Type& type, const Inline* level, const Value& value) {
  std::string out;
  for (const Slot& slot : slots_of(type, level)) {
    if (slot.inner != nullptr) {
      put_bytes(out, slot.number, struct_message(type, slot.inner, value));
    } else {
      put_field(out, *slot.field, value[slot.field->name()]);
    }
  }
  return out;
}

}  // namespace

std::string encode_protobuf(const Type& type, const Value& value) {
  std::string meta;
  put_bytes(meta, 1, value["apiVersion"].as_string());
  put_bytes(meta, 2, value["kind"].as_string());
  std::string out("k8s\0", 4);
  put_bytes(out, 1, meta);
  put_bytes(out, 2, struct_message(type, nullptr, value));
  put_bytes(out, 3, "");
  put_bytes(out, 4, "");
  return out;
}

namespace {

constexpr size_t kPartBytes = 64 * 1024;

const Field& field_of(const Type& type, std::string_view name) {
  const Field* field = type.field(name);
  CHECK(field != nullptr);
  return *field;
}

}  // namespace

ProtobufList::ProtobufList(const Type& list)
    : metadata_(field_of(list, "metadata")), items_(field_of(list, "items")) {}

void ProtobufList::add(const Value& item) {
  std::string message = struct_message(*items_.type->element, nullptr, item);
  if (parts_.empty() || parts_.back().size() + message.size() + 16 > kPartBytes) {
    parts_.emplace_back().reserve(std::max(kPartBytes, message.size() + 16));
  }
  size_t before = parts_.back().size();
  put_bytes(parts_.back(), items_.number, message);
  bytes_ += parts_.back().size() - before;
}

std::vector<std::string> ProtobufList::finish(std::string_view api_version, std::string_view kind,
                                              const Value& metadata) {
  std::string meta;
  put_bytes(meta, 1, api_version);
  put_bytes(meta, 2, kind);
  std::string head;
  put_field(head, metadata_, metadata);
  std::string out("k8s\0", 4);
  put_bytes(out, 1, meta);
  put_tag(out, 2, 2);
  put_varint(out, head.size() + bytes_);
  out += head;
  parts_.insert(parts_.begin(), std::move(out));
  put_bytes(parts_.back(), 3, "");
  put_bytes(parts_.back(), 4, "");
  return std::move(parts_);
}

std::string encode_protobuf_event(std::string_view type, std::string_view object) {
  std::string raw;
  put_bytes(raw, 1, object);
  std::string event;
  put_bytes(event, 1, type);
  put_bytes(event, 2, raw);
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(event.size() >> shift);
  return out + event;
}

}  // namespace knarr::api
