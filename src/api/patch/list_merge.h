// The lists of strategic merge patch: merging by key, and the order of the result. Elements that
// the patch names come in the patch's order, the others in the document's; where the document says
// which of two comes first, it decides, else the patch's element goes first.
#pragma once

#include <functional>
#include <string_view>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

using MergeElement = std::function<Result<json::Value>(json::Value, const json::Value&)>;

// `key` is empty for lists of scalars, which merge as sets.
Result<json::Value> merge_list(const json::Value& original, const json::Value& patch,
                               std::string_view key, const MergeElement& merge_element);

// `list` in the order of `order`, what that does not name placed by `original`.
Result<json::Value> order_list(json::Value list, const json::Value& order,
                               const json::Value& original, std::string_view key);

// The elements of a patch must come in the order that $setElementOrder states.
Result<void> check_set_order(const json::Value& patch, const json::Value& order,
                             std::string_view key);

// `list` without the scalars in `deleted`.
json::Value delete_from_list(const json::Value& list, const json::Value& deleted);

}  // namespace knarr::api
