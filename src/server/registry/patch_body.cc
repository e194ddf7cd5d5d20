#include "server/registry/patch_body.h"

#include <algorithm>

#include "api/patch/go_text.h"
#include "api/patch/json_patch.h"
#include "api/patch/merge_patch.h"
#include "api/patch/strategic_merge.h"

namespace knarr::server {
namespace {

// The objects that a JSON patch looks into on its way, as nested objects.
json::Value places(const json::Value& operations) {
  json::Value out = json::Value::object();
  for (const json::Value& operation : operations.elements()) {
    for (const char* member : {"path", "from"}) {
      std::string_view path = operation[member].as_string();
      json::Value* at = &out;
      while (!path.empty()) {
        size_t end = path.find('/', 1);
        if (end == std::string_view::npos) break;
        at = &at->member(path.substr(1, end - 1));
        if (!at->is_object()) *at = json::Value::object();
        path.remove_prefix(end);
      }
    }
  }
  return out;
}

// Go's patch libraries write what they have looked into with its keys sorted, the rest as it was.
json::Value sorted_along(const json::Value& value, const json::Value& touched) {
  if (!value.is_object() || !touched.is_object()) return value;
  std::vector<std::string_view> keys;
  for (auto [key, member] : value.members()) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  json::Value out = json::Value::object();
  for (std::string_view key : keys) out.set(key, sorted_along(value[key], touched[key]));
  return out;
}

}  // namespace

Result<PatchBody> PatchBody::read(client::PatchType type, std::string bytes) {
  PatchBody out;
  out.type_ = type;
  if (type == client::PatchType::kJson) {
    Result<api::Decoded> decoded = api::decode_any(bytes);
    if (decoded.ok()) {
      out.patch_ = places(decoded->value);
      out.strict_errors_ = std::move(decoded->strict_errors);
    }
    out.bytes_ = std::move(bytes);
    return out;
  }
  api::Decoded decoded;
  if (type == client::PatchType::kMerge) {
    TRY_ASSIGN(decoded, api::parse_merge_patch(bytes));
  } else {
    TRY_ASSIGN(decoded, api::parse_strategic_patch(bytes));
  }
  out.patch_ = decoded.value.is_null() ? json::Value::object() : std::move(decoded.value);
  out.strict_errors_ = std::move(decoded.strict_errors);
  return out;
}

Result<json::Value> PatchBody::apply(const api::Type& kind, const json::Value& live) const {
  if (type_ == client::PatchType::kMerge) return api::apply_merge_patch(live, patch_);
  if (is_strategic()) return api::apply_strategic_merge(kind, live, patch_);
  Result<json::Value> result = api::apply_json_patch(live, bytes_);
  if (!result.ok() && result.error().code == Code::kInvalid) {
    Error error = std::move(result).error();
    error.details = std::make_shared<ErrorDetails>();
    return error;
  }
  return result;
}

json::Value PatchBody::ordered(json::Value patched) const {
  return is_strategic() ? std::move(patched) : sorted_along(patched, patch_);
}

std::string PatchBody::shown(const json::Value& patched) const {
  return is_strategic() ? api::go_text(patch_) : json::write(patched);
}

}  // namespace knarr::server
