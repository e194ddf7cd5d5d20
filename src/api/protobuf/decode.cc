#include <cstring>
#include <optional>

#include "api/duration.h"
#include "api/protobuf/layout.h"
#include "api/protobuf/protobuf.h"
#include "api/resource.h"
#include "base/base64.h"
#include "base/time.h"

namespace knarr::api {
namespace {

using json::Value;

constexpr int kMaxDepth = 200;

// The years 1 to 9999, in seconds of 1970.
constexpr int64_t kFirstSecond = -62135596800;
constexpr int64_t kLastSecond = 253402300799;

// One field of a message: a number and either a varint (or fixed) or bytes.
struct Piece {
  int number = 0;
  int wire = 0;
  uint64_t number_value = 0;
  std::string_view bytes;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty() || failed_; }
  bool failed() const { return failed_; }

  std::optional<Piece> next() {
    Piece p;
    uint64_t tag = varint();
    // Numbers have 29 bits: one of more, cast, could be negative.
    if (tag >> 3 >= 1U << 29) failed_ = true;
    p.number = static_cast<int>(tag >> 3 & ((1U << 29) - 1));
    p.wire = static_cast<int>(tag & 7);
    if (p.wire == 0) {
      p.number_value = varint();
    } else if (p.wire == 2) {
      uint64_t size = varint();
      if (!failed_ && size <= rest_.size()) {
        p.bytes = take(size);
      } else {
        failed_ = true;
      }
    } else if (p.wire == 1 || p.wire == 5) {
      size_t size = p.wire == 1 ? 8 : 4;
      if (rest_.size() < size) {
        failed_ = true;
      } else {
        std::memcpy(&p.number_value, take(size).data(), size);
      }
    } else {
      failed_ = true;
    }
    if (failed_ || p.number == 0) {
      failed_ = true;
      return std::nullopt;
    }
    return p;
  }

 private:
  std::string_view take(size_t n) {
    std::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }

  uint64_t varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      auto c = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      v |= static_cast<uint64_t>(c & 127) << shift;
      if ((c & 128) == 0) return v;
    }
    failed_ = true;
    return 0;
  }

  std::string_view rest_;
  bool failed_ = false;
};

class Decoder {
 public:
  bool failed() const { return failed_; }

  Value message(const Type& type, std::string_view bytes, int depth) {
    Value out = Value::object();
    fill(type, nullptr, bytes, out, depth);
    return out;
  }

 private:
  void fill(const Type& type, const Inline* level, std::string_view bytes, Value& out, int depth) {
    if (depth > kMaxDepth) failed_ = true;
    Reader reader(bytes);
    while (!reader.done() && !failed_) {
      std::optional<Piece> piece = reader.next();
      if (!piece) break;
      for (const Slot& slot : layout_of(type, level).slots) {
        if (slot.number != piece->number) continue;
        if (slot.inner != nullptr) {
          fill(type, slot.inner, piece->bytes, out, depth + 1);
        } else {
          put(*slot.field, *piece, out, depth + 1);
        }
        break;
      }
    }
    if (reader.failed()) failed_ = true;
  }

  void put(const Field& field, const Piece& piece, Value& out, int depth) {
    const Type& type = *field.type;
    if (type.kind == TypeKind::kList && field.is(Field::kWrapped)) {
      out.set(field.name(), value(type, piece, depth));
    } else if (type.kind == TypeKind::kList) {
      out.member(field.name()).push_back(value(*type.element, piece, depth));
    } else if (type.kind == TypeKind::kMap) {
      Value& map = out.member(field.name());
      if (map.is_null()) map = Value::object();
      entry(type, piece.bytes, map, depth);
    } else {
      out.set(field.name(), value(type, piece, depth));
    }
  }

  void entry(const Type& map_type, std::string_view bytes, Value& map, int depth) {
    Reader reader(bytes);
    std::string key;
    Piece held;
    held.wire = 2;
    while (!reader.done()) {
      std::optional<Piece> piece = reader.next();
      if (!piece) break;
      if (piece->number == 1) key = piece->bytes;
      if (piece->number == 2) held = *piece;
    }
    if (reader.failed()) failed_ = true;
    map.set(key, value(*map_type.element, held, depth));
  }

  Value value(const Type& type, const Piece& piece, int depth) {
    switch (type.kind) {
      case TypeKind::kString: return Value(piece.bytes);
      case TypeKind::kBytes: return Value(base::base64_encode(piece.bytes));
      case TypeKind::kBool: return Value(piece.number_value != 0);
      case TypeKind::kInt32:
      case TypeKind::kInt64: return Value(static_cast<int64_t>(piece.number_value));
      case TypeKind::kDouble: {
        double d = 0;
        std::memcpy(&d, &piece.number_value, 8);
        return Value(d);
      }
      case TypeKind::kStruct: return message(type, piece.bytes, depth);
      case TypeKind::kList: {
        Value list = Value::array();
        each(piece.bytes, [&](const Piece& p) { list.push_back(value(*type.element, p, depth)); });
        return list;
      }
      default: return special(type, piece.bytes, depth);
    }
  }

  template <typename Fn>
  void each(std::string_view bytes, Fn fn) {
    Reader reader(bytes);
    while (!reader.done()) {
      std::optional<Piece> piece = reader.next();
      if (!piece) break;
      fn(*piece);
    }
    if (reader.failed()) failed_ = true;
  }

  Value special(const Type& type, std::string_view bytes, int depth) {
    int64_t numbers[4] = {};
    std::string_view texts[4];
    Value forms = Value::array();
    each(bytes, [&](const Piece& p) {
      if (p.number > 3) return;
      numbers[p.number] = static_cast<int64_t>(p.number_value);
      texts[p.number] = p.bytes;
      if (p.number == 2 && p.wire == 2) {
        forms.push_back(type.kind == TypeKind::kSchemaOrArray
                            ? message(*type.element, p.bytes, depth)
                            : Value(p.bytes));
      }
    });
    switch (type.kind) {
      case TypeKind::kTime:
      case TypeKind::kMicroTime: {
        if (bytes.empty()) return {};
        if (numbers[1] < kFirstSecond || numbers[1] > kLastSecond) {
          failed_ = true;
          return {};
        }
        int64_t us = numbers[1] * 1000000 + numbers[2] / 1000;
        return type.kind == TypeKind::kTime ? base::format_time(us) : base::format_micro_time(us);
      }
      case TypeKind::kDuration: return Value(format_duration(numbers[1]));
      case TypeKind::kQuantity: return Value(texts[1]);
      case TypeKind::kIntOrString: return numbers[1] == 1 ? Value(texts[3]) : Value(numbers[2]);
      case TypeKind::kSchemaOrBool:
        return texts[2].data() == nullptr ? Value(numbers[1] != 0)
                                          : message(*type.element, texts[2], depth);
      case TypeKind::kSchemaOrArray:
      case TypeKind::kSchemaOrStrings:
        return texts[1].data() == nullptr ? forms : message(*type.element, texts[1], depth);
      default: {  // any JSON
        Result<Value> parsed = json::parse(texts[1]);
        return parsed.ok() ? *std::move(parsed) : Value();
      }
    }
  }

  bool failed_ = false;
};

}  // namespace

Result<Value> decode_protobuf(std::string_view bytes, const ProtobufKind& expected) {
  constexpr std::string_view kPrefix("k8s\0", 4);
  auto refuse = [](const char* why) { return make_error(Code::kBadRequest, why); };
  if (bytes.empty()) return refuse("empty data");
  if (!bytes.starts_with(kPrefix)) {
    return refuse(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  }
  if (bytes.size() == kPrefix.size()) return refuse("empty body");
  std::string version;
  std::string kind;
  std::string_view raw;
  bool damaged = false;
  Reader reader(bytes.substr(kPrefix.size()));
  while (!reader.done()) {
    std::optional<Piece> piece = reader.next();
    if (!piece) break;
    if (piece->number == 2) raw = piece->bytes;
    if (piece->number != 1) continue;
    Reader meta(piece->bytes);
    while (!meta.done()) {
      std::optional<Piece> p = meta.next();
      if (!p) break;
      if (p->number == 1) version = p->bytes;
      if (p->number == 2) kind = p->bytes;
    }
    damaged = damaged || meta.failed();
  }
  if (reader.failed() || damaged) return refuse("unexpected EOF");
  if (kind.empty()) kind = expected.kind;
  if (version.empty()) {
    version = std::string(expected.group) + (expected.group.empty() ? "" : "/");
    version += expected.version;
  }
  Value out = Value::object({{"kind", kind}, {"apiVersion", version}});
  std::string_view group;
  std::string_view v;
  if (!split_api_version(version, group, v)) return out;
  const Type* type =
      kind == "DeleteOptions" ? find_type("meta.k8s.io", "v1", kind) : find_type(group, v, kind);
  if (type == nullptr) return out;
  Decoder decoder;
  Value message = decoder.message(*type, raw, 0);
  if (decoder.failed()) return refuse("unexpected EOF");
  for (json::Member m : message.members()) out.set(m.key, std::move(m.value));
  return out;
}

}  // namespace knarr::api
