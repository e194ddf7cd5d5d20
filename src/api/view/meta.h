// Small reads and writes that every kind of object needs: metadata, conditions, owner references.
// Pure functions of a json::Value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "knarr/object.h"

namespace knarr::api {

// The object as a tree. Objects of the cache are canonical JSON, so this can't fail for them.
json::Value decode(const Object& object);

int64_t creation_time(const json::Value& object);                    // 0 when unset
int64_t time_field(const json::Value& value, std::string_view key);  // 0 when unset or no time

// The element of `conditions` of this type; null when absent.
const json::Value& condition(const json::Value& conditions, std::string_view type);
bool condition_is(const json::Value& conditions, std::string_view type, std::string_view status);

// {"apiVersion", "kind", "name", "uid", "controller": true, "blockOwnerDeletion": true}
json::Value controller_reference(const json::Value& owner);
// For Event.involvedObject and the like: {"kind", "namespace", "name", "uid", "apiVersion",
// "resourceVersion"}.
json::Value object_reference(const json::Value& object);

// minReadySeconds, replicas and the like: spec[key], or the fallback when unset.
inline int64_t int_field(const json::Value& value, std::string_view key, int64_t fallback) {
  return value[key].as_int(fallback);
}

// An IntOrString against a total: "25%" is a share, rounded up or down; a number is itself; what is
// neither is 0.
int64_t scaled_value(const json::Value& int_or_percent, int64_t total, bool round_up);

// The same tree whatever the order of its members: what hashes are made of.
std::string sorted_text(const json::Value& value);

// Sets value[key] unless the number is 0, when the member goes: Go's omitempty.
void set_or_erase(json::Value& value, std::string_view key, int64_t number);

}  // namespace knarr::api
