// Kubernetes' protobuf form of objects, from the field numbers of the schema tables: "k8s\0" and a
// runtime.Unknown that carries the kind and the message (proto2, as Kubernetes' Go code writes it:
// scalars that are not optional always, embedded structs as messages of their own). Pure; any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/protobuf/wire.h"
#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

struct TypeMeta {
  std::string kind;
  std::string api_version;
};

// What the text of an object says it is; empty where it says nothing. nullopt: it is not an object.
std::optional<TypeMeta> type_meta_of(std::string_view json);

// The whole document of an object or list, from its JSON as we write it; apiVersion and kind are
// taken from there. nullopt: the text is not JSON, or hundreds of objects deep.
std::optional<std::string> encode_protobuf(const Type& type, std::string_view json);

// The same for a list in pieces: the head, which says how long the whole is, every item, the tail.
class ProtobufList {
 public:
  explicit ProtobufList(const Type& list);
  // An item from its JSON; text that is none is an empty item.
  void add(WireBuffer& out, std::string_view item) const;
  // items_bytes: what add() wrote for all items.
  std::string head(std::string_view api_version, std::string_view kind, std::string_view metadata,
                   uint64_t items_bytes) const;
  static std::string_view tail();

 private:
  const Field& metadata_;
  const Field& items_;
};

// A watch event with the document of its object, as a stream has it: its length in four bytes, then
// a meta/v1 WatchEvent.
std::string encode_protobuf_event(std::string_view type, std::string_view object);

// What an endpoint expects; fills in a document that does not say its kind.
struct ProtobufKind {
  std::string_view group;
  std::string_view version;
  std::string_view kind;
};

// A document back as JSON value with apiVersion and kind; these two alone when the kind is not in
// the catalogue. kBadRequest when it is damaged, in upstream's bare words: "unexpected EOF".
Result<json::Value> decode_protobuf(std::string_view bytes, const ProtobufKind& expected);

}  // namespace knarr::api
