// meta/v1 Tables: which columns `kubectl get` shows of a resource, and the cells of an object.
// Columns are data, cells small functions, a file a group family.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace knarr::api {

struct TableColumn {
  std::string name;
  std::string type;
  std::string format;
  int priority = 0;  // 1: only with -o wide
  std::string description;
};

struct TableRow {
  std::vector<json::Value> cells;
  json::Value conditions;  // null or an array
};

struct Table {
  std::vector<TableColumn> columns;
  std::vector<TableRow> rows;  // row i is of objects[i]
};

// A resource without columns of its own gets Name and Created At. now_us: for ages.
Table to_table(std::string_view group, std::string_view resource,
               std::span<const json::Value> objects, int64_t now_us);

// columnDefinitions and the cells of a row, as JSON. The caller adds rows[].object and metadata.
json::Value table_columns_json(const Table& table);
json::Value table_row_json(const TableRow& row);

// {"kind":"Table","apiVersion":"meta.k8s.io/v1",...} with metadata {} and rows without objects.
json::Value table_json(const Table& table);

}  // namespace knarr::api
