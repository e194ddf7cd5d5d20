#include "cli/kubectl/table_text.h"

#include <algorithm>

#include "api/duration.h"
#include "cli/kubectl/json_text.h"
#include "cli/kubectl/jsonpath.h"

namespace knarr::kubectl {

namespace {

std::string upper_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return out;
}

// A cell ends at its first line break, and holds no tab of its own.
std::string cell_text(const json::Value& cell) {
  std::string text = cell.is_string() ? cell.text() : value_text(cell);
  if (size_t at = text.find_first_of("\f\n\r"); at != std::string::npos) {
    text = text.substr(0, at) + "...";
  }
  std::replace(text.begin(), text.end(), '\t', ' ');
  return text;
}

bool is_shown(const json::Value& column, const TableOptions& options) {
  return options.wide || column["priority"].as_int() == 0;
}

std::string labels_text(const json::Value& labels) {
  std::string out;
  for (const json::Member& label : sorted_members(labels)) {
    if (!out.empty()) out += ',';
    out += label.key;
    out += '=';
    out += label.value.as_string();
  }
  return out.empty() ? "<none>" : out;
}

bool sorts_before(const json::Value& a, const json::Value& b) {
  if (a.is_number() && b.is_number()) return a.as_double() < b.as_double();
  return value_text(a) < value_text(b);
}

}  // namespace

std::string table_header(const json::Value& columns, const TableOptions& options) {
  std::vector<std::string> names;
  if (options.with_namespace) names.push_back("NAMESPACE");
  for (const json::Value& column : columns.elements()) {
    if (is_shown(column, options)) names.push_back(upper_case(column["name"].as_string()));
  }
  for (const std::string& label : options.label_columns) {
    names.push_back(upper_case(label.substr(label.rfind('/') + 1)));
  }
  if (options.show_labels) names.push_back("LABELS");
  std::string line;
  for (size_t i = 0; i < names.size(); i++) line += (i > 0 ? "\t" : "") + names[i];
  return line + "\n";
}

std::string table_row(const json::Value& columns, const json::Value& row,
                      const TableOptions& options) {
  const json::Value& metadata = row["object"]["metadata"];
  std::vector<std::string> cells;
  if (options.with_namespace) cells.push_back(metadata["namespace"].text());
  for (size_t i = 0; i < columns.size(); i++) {
    if (!is_shown(columns[i], options)) continue;
    std::string text = cell_text(row["cells"][i]);
    bool name = columns[i]["format"].as_string() == "name";
    if (name && !options.kind_prefix.empty()) text = options.kind_prefix + "/" + text;
    cells.push_back(std::move(text));
  }
  for (const std::string& label : options.label_columns) {
    std::string value = metadata["labels"][label].text();
    cells.push_back(value);
  }
  if (options.show_labels) cells.push_back(labels_text(metadata["labels"]));
  std::string line;
  for (size_t i = 0; i < cells.size(); i++) line += (i > 0 ? "\t" : "") + cells[i];
  return line + "\n";
}

json::Value plain_table(const json::Value& answer, int64_t now_us) {
  json::Value table = json::Value::object({{"kind", "Table"}});
  table.set("columnDefinitions",
            json::Value::array({json::Value::object({{"name", "Name"}, {"format", "name"}}),
                                json::Value::object({{"name", "Age"}})}));
  json::Value rows = json::Value::array();
  auto add = [&](const json::Value& object) {
    const json::Value& metadata = object["metadata"];
    json::Value cells = json::Value::array(
        {metadata["name"], api::age(metadata["creationTimestamp"].as_string(), now_us)});
    rows.push_back(json::Value::object({{"cells", cells}, {"object", object}}));
  };
  if (answer["items"].is_array()) {
    for (const json::Value& item : answer["items"].elements()) add(item);
  } else {
    add(answer);
  }
  table.set("rows", std::move(rows));
  return table;
}

void sort_rows(json::Value& table, const JsonPath& path) {
  std::vector<std::pair<json::Value, json::Value>> keyed;
  for (json::Value& row : table.member("rows").elements()) {
    std::vector<json::Value> found = path.find(row["object"]);
    keyed.emplace_back(found.empty() ? json::Value() : found[0], std::move(row));
  }
  std::stable_sort(keyed.begin(), keyed.end(),
                   [](const auto& a, const auto& b) { return sorts_before(a.first, b.first); });
  json::Value rows = json::Value::array();
  for (auto& [key, row] : keyed) rows.push_back(std::move(row));
  table.set("rows", std::move(rows));
}

}  // namespace knarr::kubectl
