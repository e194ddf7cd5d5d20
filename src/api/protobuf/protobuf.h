// Kubernetes' protobuf form of objects, from the field numbers of the schema tables: "k8s\0" and a
// runtime.Unknown that carries the kind and the message (proto2, as Kubernetes' Go code writes it:
// scalars that are not optional always, embedded structs as messages of their own). Pure; any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

// The whole document of an object or list; apiVersion and kind are taken from the value.
std::string encode_protobuf(const Type& type, const json::Value& value);

// The same for a list, item by item: the whole as a value is many times as big.
class ProtobufList {
 public:
  explicit ProtobufList(const Type& list);
  void add(const json::Value& item);
  // The document's beginning, then what was added; the list is used up.
  std::vector<std::string> finish(std::string_view api_version, std::string_view kind,
                                  const json::Value& metadata);

 private:
  const Field& metadata_;
  const Field& items_;
  size_t bytes_ = 0;
  std::vector<std::string> parts_;
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
