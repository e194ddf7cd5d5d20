// Helpers for defaults_<group>.cc, whose functions the generated tables name: default_<group>_
// <version>_<Type>, run after the type's own fills and before the types below it.
#pragma once

#include <string_view>

#include "base/json.h"

namespace knarr::api {

// Absent, null, or empty text.
inline bool blank(const json::Value& object, std::string_view key) {
  const json::Value* v = object.find(key);
  return v == nullptr || v->is_null() || (v->is_string() && v->as_string().empty());
}

inline bool unset(const json::Value& object, std::string_view key) {
  const json::Value* v = object.find(key);
  return v == nullptr || v->is_null();
}

inline void fill(json::Value& object, std::string_view key, json::Value value) {
  if (unset(object, key)) object.set(key, std::move(value));
}

inline void fill_blank(json::Value& object, std::string_view key, json::Value value) {
  if (blank(object, key)) object.set(key, std::move(value));
}

inline bool is_text(const json::Value& object, std::string_view key, std::string_view text) {
  return object[key].as_string() == text;
}

}  // namespace knarr::api
