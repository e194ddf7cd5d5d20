#include "api/patch/merge_patch.h"

#include <string>

#include "api/patch/go_text.h"

namespace knarr::api {

Result<Decoded> parse_merge_patch(std::string_view text) {
  auto patch = decode_any(text);
  if (!patch.ok()) {
    return make_error(Code::kBadRequest, "error decoding patch: " + patch.error().message);
  }
  if (patch->value.is_null()) return make_error(Code::kBadRequest, "Invalid JSON Patch");
  if (!patch->value.is_object()) {
    return make_error(Code::kBadRequest, "error decoding patch: " + not_a_map_text(patch->value));
  }
  return patch;
}

json::Value apply_merge_patch(json::Value document, const json::Value& patch) {
  if (!patch.is_object()) return patch;
  if (!document.is_object()) document = json::Value::object();
  for (json::Member member : patch.members()) {
    if (member.value.is_null()) {
      document.erase(member.key);
    } else if (json::Value* old = document.find(member.key); old != nullptr) {
      *old = apply_merge_patch(std::move(*old), member.value);
    } else {
      // What is new has its own nulls removed too.
      document.set(member.key, apply_merge_patch(json::Value(), member.value));
    }
  }
  return document;
}

}  // namespace knarr::api
