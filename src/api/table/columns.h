// How a resource's table is described: an array of columns, made with the helpers below.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace knarr::api::table {

using Cell = json::Value (*)(const json::Value& object, int64_t now_us);

struct Column {
  const char* name;
  const char* type;
  const char* format;
  int priority;
  Cell cell;            // null: the value at `path`
  const char* path;     // members, dotted
  const char* missing;  // shown when there is no value, or empty text; null: an integer 0
};

struct ResourceTable {
  std::string_view group;
  std::string_view resource;
  std::span<const Column> columns;
};

json::Value name_cell(const json::Value& object, int64_t now_us);
json::Value age_cell(const json::Value& object, int64_t now_us);
json::Value created_cell(const json::Value& object, int64_t now_us);

constexpr Column name_column() {
  return {"Name", "string", "name", 0, name_cell, nullptr, nullptr};
}
constexpr Column age_column() { return {"Age", "string", "", 0, age_cell, nullptr, nullptr}; }
constexpr Column text(const char* name, const char* path, const char* missing = "",
                      int priority = 0) {
  return {name, "string", "", priority, nullptr, path, missing};
}
constexpr Column number(const char* name, const char* path, const char* type = "integer") {
  return {name, type, "", 0, nullptr, path, nullptr};
}
constexpr Column cell(const char* name, Cell function, const char* type = "string",
                      int priority = 0) {
  return {name, type, "", priority, function, nullptr, nullptr};
}

// The value at a dotted path; null when there is none.
const json::Value& at_path(const json::Value& object, std::string_view path);

// Shared by several families.
std::string container_names(const json::Value& pod_spec);
std::string container_images(const json::Value& pod_spec);
// "a=1,b=2", sorted; "<none>" when empty.
std::string label_list(const json::Value& labels);
// A LabelSelector object as text; `broken` when it can't be read.
std::string selector_text(const json::Value& selector, const char* none, const char* broken);
// At most `max` of them joined by commas, and " + N more...".
std::string some_of(const std::vector<std::string>& items, size_t max, size_t total);
std::string joined(const std::vector<std::string>& items, std::string_view separator);
// The condition's status; empty when it is absent.
std::string_view condition_status(const json::Value& conditions, std::string_view type);
std::string lower(std::string_view text);

std::span<const ResourceTable> core_tables();
std::span<const ResourceTable> node_tables();
std::span<const ResourceTable> pod_tables();
std::span<const ResourceTable> workload_tables();
std::span<const ResourceTable> network_tables();
std::span<const ResourceTable> storage_tables();
std::span<const ResourceTable> policy_tables();
std::span<const ResourceTable> other_tables();

}  // namespace knarr::api::table
