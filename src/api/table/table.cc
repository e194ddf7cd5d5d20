#include "api/table/table.h"

#include "api/table/columns.h"

namespace knarr::api {
namespace {

using table::Column;
using table::ResourceTable;

constexpr Column kDefaultColumns[] = {
    table::name_column(),
    {"Created At", "date", "", 0, table::created_cell, nullptr, nullptr},
};

std::span<const Column> columns_of(std::string_view group, std::string_view resource) {
  static constexpr std::span<const ResourceTable> (*kFamilies[])() = {
      table::pod_tables,     table::core_tables,    table::node_tables,   table::workload_tables,
      table::network_tables, table::storage_tables, table::policy_tables, table::other_tables,
  };
  for (auto family : kFamilies) {
    for (const ResourceTable& one : family()) {
      if (one.group == group && one.resource == resource) return one.columns;
    }
  }
  return kDefaultColumns;
}

json::Value cell_of(const Column& column, const json::Value& object, int64_t now_us) {
  if (column.cell != nullptr) return column.cell(object, now_us);
  const json::Value& value = table::at_path(object, column.path);
  if (column.missing == nullptr) return value.as_int();
  if (value.is_null() || (value.is_string() && value.as_string().empty())) return column.missing;
  return value;
}

// A finished pod is told apart by clients without parsing its cells.
json::Value conditions_of(std::string_view resource, const json::Value& object) {
  if (resource != "pods") return {};
  std::string_view phase = object["status"]["phase"].as_string();
  const char* message = phase == "Succeeded" ? "The pod has completed successfully."
                        : phase == "Failed"  ? "The pod failed."
                                             : nullptr;
  if (message == nullptr) return {};
  return json::Value::array({json::Value::object(
      {{"type", "Completed"}, {"status", "True"}, {"reason", phase}, {"message", message}})});
}

}  // namespace

Table to_table(std::string_view group, std::string_view resource,
               std::span<const json::Value> objects, int64_t now_us) {
  Table out;
  std::span<const Column> columns = columns_of(group, resource);
  for (const Column& column : columns) {
    out.columns.push_back({column.name, column.type, column.format, column.priority, ""});
  }
  out.rows.reserve(objects.size());
  for (const json::Value& object : objects) {
    TableRow& row = out.rows.emplace_back();
    row.cells.reserve(columns.size());
    for (const Column& column : columns) row.cells.push_back(cell_of(column, object, now_us));
    // Upstream gives addresses an age that no column names.
    if (resource == "ipaddresses" && group == "networking.k8s.io") {
      row.cells.push_back(table::age_cell(object, now_us));
    }
    if (group.empty()) row.conditions = conditions_of(resource, object);
  }
  return out;
}

json::Value table_columns_json(const Table& table) {
  auto out = json::Value::array();
  for (const TableColumn& column : table.columns) {
    out.push_back(json::Value::object({{"name", column.name},
                                       {"type", column.type},
                                       {"format", column.format},
                                       {"description", column.description},
                                       {"priority", column.priority}}));
  }
  return out;
}

json::Value table_row_json(const TableRow& row) {
  auto cells = json::Value::array();
  for (const json::Value& cell : row.cells) cells.push_back(cell);
  auto out = json::Value::object({{"cells", std::move(cells)}});
  if (!row.conditions.is_null()) out.set("conditions", row.conditions);
  return out;
}

json::Value table_json(const Table& table) {
  auto rows = json::Value::array();
  for (const TableRow& row : table.rows) rows.push_back(table_row_json(row));
  return json::Value::object({{"kind", "Table"},
                              {"apiVersion", "meta.k8s.io/v1"},
                              {"metadata", json::Value::object()},
                              {"columnDefinitions", table_columns_json(table)},
                              {"rows", std::move(rows)}});
}

}  // namespace knarr::api
