// Objects in the form -o asks for: name, json, yaml, jsonpath, custom-columns; and the one line
// that a verb which changes something prints ("pod/x created").
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/kubectl/flags.h"
#include "cli/kubectl/jsonpath.h"
#include "cli/kubectl/resources.h"

namespace knarr::kubectl {

enum class Format { kTable, kWide, kName, kJson, kYaml, kJsonPath, kCustomColumns };

struct OutputColumn {
  std::string header;
  JsonPath path;
};

struct Output {
  Format format = Format::kTable;
  JsonPath path;                      // of kJsonPath
  std::vector<OutputColumn> columns;  // of kCustomColumns
  bool no_headers = false;
  bool managed_fields = false;

  bool is_table() const { return format == Format::kTable || format == Format::kWide; }
  // The text of one object (or List). `lower_kind`: for kName.
  std::string text(json::Value object, const std::string& lower_kind) const;
};

Result<Output> parse_output(const Flags& flags);

// "NAME:.metadata.name,IP:.status.podIP". Pure.
Result<std::vector<OutputColumn>> parse_custom_columns(std::string_view spec);
// The objects under the columns. Pure.
std::string custom_columns(const std::vector<OutputColumn>& columns,
                           const std::vector<json::Value>& objects, bool headers);

enum class DryRun { kNone, kClient, kServer };
Result<DryRun> dry_run(const Flags& flags);
// Adds dryRun=All when the server is to try it.
void add_dry_run(net::Query& query, DryRun mode);

// What a change prints: "deployment.apps/web scaled", with " (dry run)" or " (server dry run)", or
// the object as -o asks.
void print_change(const Output& output, const Target& target, const json::Value& object,
                  const std::string& verb, DryRun mode);

}  // namespace knarr::kubectl
