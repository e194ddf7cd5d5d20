#include "api/patch/list_merge.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "api/patch/go_text.h"

namespace knarr::api {

namespace {

using Items = std::vector<json::Value>;

Error no_merge_key(const json::Value& map, std::string_view key) {
  return make_error(
      Code::kUnknown,
      "map: " + go_text(map) + " does not contain declared merge key: " + std::string(key));
}

Items items_of(const json::Value& list) {
  auto elements = list.elements();
  return Items(elements.begin(), elements.end());
}

json::Value list_of(Items items) {
  json::Value list = json::Value::array();
  for (json::Value& item : items) list.push_back(std::move(item));
  return list;
}

// What tells elements apart: the merge key's value, or the scalar itself.
const json::Value& identity(const json::Value& item, std::string_view key) {
  return key.empty() ? item : item[key];
}

int64_t index_of(const Items& items, const json::Value& item, std::string_view key) {
  for (size_t i = 0; i < items.size(); i++) {
    if (identity(items[i], key) == identity(item, key)) return static_cast<int64_t>(i);
  }
  return -1;
}

Result<void> check_elements(const json::Value& list, bool maps) {
  for (const json::Value& item : list.elements()) {
    if (item.is_array()) return make_error(Code::kInvalid, "lists of lists are not supported");
    if (item.is_object() != maps) {
      return make_error(Code::kUnknown, maps ? "expected a map, but received a string"
                                             : "expected a string, but received a map");
    }
  }
  return {};
}

Items order_items(Items items, const Items& order, const Items& original, std::string_view key) {
  Items named;
  Items others;
  for (json::Value& item : items) {
    (index_of(order, item, key) >= 0 ? named : others).push_back(std::move(item));
  }
  auto sort_by = [&](Items& part, const Items& by) {
    std::vector<std::pair<int64_t, size_t>> places;
    for (size_t i = 0; i < part.size(); i++) places.emplace_back(index_of(by, part[i], key), i);
    std::stable_sort(places.begin(), places.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    Items sorted;
    for (const auto& place : places) sorted.push_back(std::move(part[place.second]));
    part = std::move(sorted);
  };
  sort_by(named, order);
  sort_by(others, original);

  Items out;
  size_t i = 0;
  size_t j = 0;
  while (i < others.size() || j < named.size()) {
    bool take_other = j >= named.size();
    if (i < others.size() && j < named.size()) {
      int64_t other = index_of(original, others[i], key);
      int64_t mine = index_of(original, named[j], key);
      take_other = other >= 0 && mine >= 0 && other < mine;
    }
    out.push_back(std::move(take_other ? others[i++] : named[j++]));
  }
  return out;
}

// Carries out the elements of the patch that are directives; what is left is in `rest`. With
// $patch: replace the rest becomes the list.
Result<void> apply_directives(Items& list, const json::Value& patch, std::string_view key,
                              Items& rest) {
  bool replace = false;
  for (const json::Value& item : patch.elements()) {
    if (!item.has("$patch")) {
      rest.push_back(item);
      continue;
    }
    std::string_view directive = item["$patch"].as_string();
    if (directive == "delete") {
      if (!item.has(key)) return no_merge_key(item, key);
      std::erase_if(list, [&](const json::Value& old) { return old[key] == item[key]; });
    } else if (directive == "replace") {
      replace = true;
    } else if (directive == "merge") {
      return make_error(Code::kUnknown, "merging lists cannot yet be specified in the patch");
    } else {
      return make_error(Code::kUnknown, "unknown patch type: " + go_text(item["$patch"]) +
                                            " in map: " + go_text(item));
    }
  }
  if (replace) {
    list = std::move(rest);
    rest.clear();
  }
  return {};
}

json::Value merge_scalars(const json::Value& original, const json::Value& patch) {
  Items before = items_of(original);
  Items named = items_of(patch);
  Items merged;
  for (const Items* part : {&before, &named}) {
    for (const json::Value& item : *part) {
      if (index_of(merged, item, {}) < 0) merged.push_back(item);
    }
  }
  return list_of(order_items(std::move(merged), named, before, {}));
}

}  // namespace

Result<json::Value> merge_list(const json::Value& original, const json::Value& patch,
                               std::string_view key, const MergeElement& merge_element) {
  if (patch.empty()) return original;
  bool maps = original.empty() ? patch[0].is_object() : original[0].is_object();
  TRY(check_elements(original, maps));
  TRY(check_elements(patch, maps));
  if (!maps) return merge_scalars(original, patch);
  if (key.empty()) return patch;

  Items merged = items_of(original);
  Items rest;
  TRY(apply_directives(merged, patch, key, rest));
  Items before = merged;
  for (const json::Value& item : rest) {
    if (!item.has(key)) return no_merge_key(item, key);
    int64_t index = index_of(merged, item, key);
    json::Value old = index < 0 ? json::Value::object() : std::move(merged[index]);
    TRY_ASSIGN(json::Value made, merge_element(std::move(old), item));
    if (index < 0) {
      merged.push_back(std::move(made));
    } else {
      merged[index] = std::move(made);
    }
  }
  for (const json::Value& item : merged) {
    if (!item.has(key)) return no_merge_key(item, key);
  }
  return list_of(order_items(std::move(merged), rest, before, key));
}

Result<json::Value> order_list(json::Value list, const json::Value& order,
                               const json::Value& original, std::string_view key) {
  if (!key.empty()) {
    for (const json::Value* part : std::initializer_list<const json::Value*>{&list, &order}) {
      for (const json::Value& item : part->elements()) {
        if (!item.has(key)) return no_merge_key(item, key);
      }
    }
  }
  return list_of(order_items(items_of(list), items_of(order), items_of(original), key));
}

Result<void> check_set_order(const json::Value& patch, const json::Value& order,
                             std::string_view key) {
  if (patch.empty() || order.empty()) return {};
  Items kept;
  for (const json::Value& item : patch.elements()) {
    if (item["$patch"].as_string() != "delete") kept.push_back(item);
  }
  size_t next = 0;
  for (const json::Value& item : order.elements()) {
    if (next < kept.size() && identity(kept[next], key) == identity(item, key)) next++;
  }
  if (next == kept.size()) return {};
  return make_error(Code::kUnknown, "The order in patch list:\n" + go_text(patch) +
                                        "\n doesn't match $setElementOrder list:\n" +
                                        go_text(order) + "\n");
}

json::Value delete_from_list(const json::Value& list, const json::Value& deleted) {
  Items gone = items_of(deleted);
  Items kept = items_of(list);
  std::erase_if(kept, [&](const json::Value& item) { return index_of(gone, item, {}) >= 0; });
  return list_of(std::move(kept));
}

}  // namespace knarr::api
