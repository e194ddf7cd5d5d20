// Kubernetes' protobuf form of objects, from the field numbers of the schema tables: "k8s\0" and a
// runtime.Unknown that carries the kind and the message (proto2, as Kubernetes' Go code writes it:
// scalars that are not optional always, embedded structs as messages of their own). Pure; any
// thread.
#pragma once

#include <string>
#include <string_view>

#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

// The whole document of an object or list; apiVersion and kind are taken from the value.
std::string encode_protobuf(const Type& type, const json::Value& value);

// A document back as JSON value with apiVersion and kind. kBadRequest when it is damaged or its
// kind is not in the catalogue.
Result<json::Value> decode_protobuf(std::string_view bytes);

}  // namespace knarr::api
