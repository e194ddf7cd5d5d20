#include "api/patch/merge_patch.h"

namespace knarr::api {

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
