// meta/v1 Tables as text, laid out as kubectl get does. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace knarr::kubectl {

struct TableOptions {
  bool wide = false;
  bool with_namespace = false;
  bool show_labels = false;
  std::vector<std::string> label_columns;
  std::string kind_prefix;  // "deployment.apps" before each name; empty: none
};

// The lines of a TabWriter, each with its newline: cells separated by tabs.
std::string table_header(const json::Value& columns, const TableOptions& options);
std::string table_row(const json::Value& columns, const json::Value& row,
                      const TableOptions& options);

// A Table of name and age, for a server that gave the object (or list) itself.
json::Value plain_table(const json::Value& answer, int64_t now_us);

// Sorts rows by what the path selects in their objects, numbers as numbers.
void sort_rows(json::Value& table, const class JsonPath& path);

}  // namespace knarr::kubectl
