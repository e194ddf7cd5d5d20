// One class walks patch and document together; lists are in list_merge.cc. What the directives do,
// in the order upstream does it: $patch, $retainKeys, $setElementOrder with its list, then the
// other members.
#include "api/patch/strategic_merge.h"

#include <algorithm>
#include <string>
#include <vector>

#include "api/patch/go_text.h"
#include "api/patch/list_merge.h"

namespace knarr::api {

namespace {

constexpr std::string_view kPatch = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kSetOrder = "$setElementOrder/";
constexpr std::string_view kDeleteFrom = "$deleteFromPrimitiveList/";

Error bad_request(const char* message) { return make_error(Code::kBadRequest, message); }

// What the schema says about a member: where to go on, and how to merge.
struct Meta {
  const Type* type = nullptr;
  uint16_t flags = 0;
  std::string_view merge_key;
};

Meta meta_of(const Type* type, std::string_view key) {
  if (type == nullptr) return {};
  if (type->kind == TypeKind::kMap) return {type->element, 0, {}};
  const Field* field = type->field(key);
  if (field == nullptr) return {};
  const char* merge_key = field->facts->merge_key;
  return {field->type, field->flags, merge_key != nullptr ? merge_key : std::string_view()};
}

// What is new to the document: no directives, no nulls.
void clean(json::Value& value) {
  std::vector<std::string> gone;
  for (json::Member member : value.members()) {
    bool directive = member.key == kPatch || member.key == kRetainKeys ||
                     member.key.starts_with(kSetOrder) || member.key.starts_with(kDeleteFrom);
    if (directive || member.value.is_null()) {
      gone.emplace_back(member.key);
    } else {
      clean(member.value);
    }
  }
  for (const std::string& key : gone) value.erase(key);
  if (!value.is_array()) return;
  for (size_t i = value.size(); i-- > 0;) {
    json::Value& element = value.at(i);
    bool directive = element.is_object() && element.has(kPatch);
    if (directive && element[kPatch].as_string() != "merge") {
      value.erase_at(i);
    } else {
      clean(element);
    }
  }
}

json::Value cleaned(const json::Value& value) {
  json::Value copy = value;
  clean(copy);
  return copy;
}

class Merger {
 public:
  Result<json::Value> merge_map(json::Value document, json::Value patch, const Type* type) {
    if (const json::Value* directive = patch.find(kPatch)) {
      return whole_map_directive(directive->text(), std::move(patch));
    }
    if (!document.is_object()) document = json::Value::object();
    TRY(retain_keys(document, patch));
    TRY(set_element_order(document, patch, type));
    for (json::Member member : patch.members()) {
      TRY(merge_member(document, member.key, member.value, type));
    }
    return document;
  }

 private:
  static Result<json::Value> whole_map_directive(const std::string& directive, json::Value patch) {
    if (directive == "replace") {
      patch.erase(kPatch);
      return patch;
    }
    if (directive == "delete") return json::Value::object();
    return make_error(Code::kUnknown, "unknown patch type: " + go_text(patch[kPatch]) +
                                          " in map: " + go_text(patch));
  }

  static Result<void> retain_keys(json::Value& document, json::Value& patch) {
    const json::Value* list = patch.find(kRetainKeys);
    if (list == nullptr) return {};
    json::Value keys = *list;
    patch.erase(kRetainKeys);
    if (!keys.is_array()) return bad_request("invalid patch format of retainKeys");
    auto retained = [&](std::string_view key) {
      auto all = keys.elements();
      return std::any_of(all.begin(), all.end(), [&](const json::Value& k) {
        return k.is_string() && k.as_string() == key;
      });
    };
    for (json::Member member : patch.members()) {
      bool exempt = member.value.is_null() || member.key.starts_with(kSetOrder) ||
                    member.key.starts_with(kDeleteFrom);
      if (!exempt && !retained(member.key))
        return bad_request("invalid patch format of retainKeys");
    }
    std::vector<std::string> gone;
    for (json::Member member : document.members()) {
      if (!retained(member.key)) gone.emplace_back(member.key);
    }
    for (const std::string& key : gone) document.erase(key);
    return {};
  }

  // Merges every list that has an order beside it, and takes both out of the patch.
  Result<void> set_element_order(json::Value& document, json::Value& patch, const Type* type) {
    std::vector<std::string> keys;
    for (json::Member member : patch.members()) {
      if (member.key.starts_with(kSetOrder)) keys.emplace_back(member.key);
    }
    for (const std::string& key : keys) {
      json::Value order = patch[key];
      patch.erase(key);
      if (!order.is_array()) {
        return make_error(Code::kUnknown,
                          "expected a slice, but received something else in " + key);
      }
      std::string name = key.substr(kSetOrder.size());
      Meta meta = meta_of(type, name);
      json::Value* original = document.find(name);
      json::Value* patched = patch.find(name);
      if (original == nullptr && patched == nullptr) continue;
      if ((original != nullptr && !original->is_array()) ||
          (patched != nullptr && !patched->is_array())) {
        return make_error(Code::kUnknown,
                          "expected a slice, but received something else in " + name);
      }
      json::Value before = original != nullptr ? *original : json::Value::array();
      json::Value merged = before;
      if (patched != nullptr) {
        TRY(check_set_order(*patched, order, meta.merge_key));
        if (original == nullptr) {
          merged = cleaned(*patched);
        } else {
          TRY_ASSIGN(merged, merge_list(before, *patched, meta));
        }
      }
      TRY_ASSIGN(merged, order_list(std::move(merged), order, before, meta.merge_key));
      document.set(name, std::move(merged));
      patch.erase(name);
    }
    return {};
  }

  Result<void> merge_member(json::Value& document, std::string_view key, const json::Value& value,
                            const Type* type) {
    bool deletes = key.starts_with(kDeleteFrom);
    if (deletes) key.remove_prefix(kDeleteFrom.size());
    if (value.is_null()) {
      document.erase(key);
      return {};
    }
    json::Value* original = document.find(key);
    bool same_kind = original != nullptr && ((original->is_object() && value.is_object()) ||
                                             (original->is_array() && value.is_array()));
    if (!same_kind) {
      if (!deletes) document.set(key, cleaned(value));
      return {};
    }
    Meta meta = meta_of(type, key);
    if (original->is_object()) {
      if ((meta.flags & Field::kPatchReplace) != 0) {
        *original = value;
        return {};
      }
      TRY_ASSIGN(*original, merge_map(std::move(*original), value, meta.type));
      return {};
    }
    if (deletes) {
      *original = delete_from_list(*original, value);
      return {};
    }
    TRY_ASSIGN(*original, merge_list(*original, value, meta));
    return {};
  }

  Result<json::Value> merge_list(const json::Value& original, const json::Value& patch,
                                 const Meta& meta) {
    if ((meta.flags & Field::kPatchMerge) == 0) return cleaned(patch);
    const Type* element = meta.type != nullptr ? meta.type->element : nullptr;
    return api::merge_list(original, patch, meta.merge_key,
                           [&](json::Value document, const json::Value& item) {
                             return merge_map(std::move(document), item, element);
                           });
  }
};

}  // namespace

Result<Decoded> parse_strategic_patch(std::string_view text) {
  TRY_ASSIGN(Decoded patch, decode_any(text));
  if (!patch.value.is_null() && !patch.value.is_object()) {
    return make_error(Code::kBadRequest, not_a_map_text(patch.value));
  }
  return patch;
}

Result<json::Value> apply_strategic_merge(const Type& type, json::Value document,
                                          const json::Value& patch) {
  if (patch.is_null()) return document;
  if (!patch.is_object()) return make_error(Code::kBadRequest, not_a_map_text(patch));
  return Merger().merge_map(std::move(document), patch, &type);
}

}  // namespace knarr::api
