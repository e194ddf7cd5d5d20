#include "cli/kubectl/output.h"

#include "api/codec/yaml.h"
#include "base/file.h"
#include "base/format.h"
#include "cli/kubectl/bad.h"
#include "cli/kubectl/json_text.h"
#include "cli/kubectl/tab_writer.h"

namespace knarr::kubectl {

namespace {

void drop_managed_fields(json::Value& object) {
  if (json::Value* metadata = object.find("metadata")) metadata->erase("managedFields");
  if (json::Value* items = object.find("items")) {
    for (json::Value& item : items->elements()) drop_managed_fields(item);
  }
}

std::string name_line(const json::Value& object, const std::string& lower_kind) {
  if (const json::Value* items = object.find("items")) {
    std::string out;
    for (const json::Value& item : items->elements()) out += name_line(item, "");
    return out;
  }
  std::string kind = lower_kind;
  if (kind.empty()) {
    std::string api_version = object["apiVersion"].text();
    kind = lower_case(object["kind"].as_string());
    if (size_t slash = api_version.find('/'); slash != std::string::npos) {
      kind += "." + api_version.substr(0, slash);
    }
  }
  return kind + "/" + object["metadata"]["name"].text() + "\n";
}

}  // namespace

std::string Output::text(json::Value object, const std::string& lower_kind) const {
  if (!managed_fields) drop_managed_fields(object);
  switch (format) {
    case Format::kName: return name_line(object, lower_kind);
    case Format::kJson: return indented_json(object);
    case Format::kYaml: return api::write_yaml(object);
    case Format::kJsonPath: return path.render(object);
    case Format::kCustomColumns: {
      std::vector<json::Value> objects;
      if (const json::Value* items = object.find("items")) {
        for (const json::Value& item : items->elements()) objects.push_back(item);
      } else {
        objects.push_back(std::move(object));
      }
      return kubectl::custom_columns(columns, objects, !no_headers);
    }
    case Format::kTable:
    case Format::kWide: break;
  }
  return "";
}

Result<Output> parse_output(const Flags& flags) {
  Output output;
  output.no_headers = flags.yes("no-headers");
  output.managed_fields = flags.yes("show-managed-fields");
  std::string spec = flags.text("output");
  size_t equals = spec.find('=');
  std::string name = spec.substr(0, equals);
  std::string value = equals == std::string::npos ? "" : spec.substr(equals + 1);
  if (name.empty()) return output;
  if (name == "wide") {
    output.format = Format::kWide;
  } else if (name == "name") {
    output.format = Format::kName;
  } else if (name == "json") {
    output.format = Format::kJson;
  } else if (name == "yaml") {
    output.format = Format::kYaml;
  } else if (name == "jsonpath" || name == "jsonpath-file") {
    output.format = Format::kJsonPath;
    if (value.empty()) return bad("template format specified but no template given");
    if (name == "jsonpath-file") {
      TRY_ASSIGN(value, base::read_file(value));
    }
    auto path = JsonPath::parse(value);
    if (!path.ok()) {
      return bad(fmt::format("error parsing jsonpath {}, {}", value, path.error().message));
    }
    output.path = std::move(*path);
  } else if (name == "custom-columns") {
    output.format = Format::kCustomColumns;
    TRY_ASSIGN(output.columns, parse_custom_columns(value));
  } else {
    return bad(
        fmt::format("unable to match a printer suitable for the output format \"{}\", "
                    "allowed formats are: "
                    "custom-columns,json,jsonpath,jsonpath-file,name,wide,yaml",
                    spec));
  }
  return output;
}

Result<std::vector<OutputColumn>> parse_custom_columns(std::string_view spec) {
  if (spec.empty()) return bad("custom-columns format specified but no custom columns given");
  std::vector<OutputColumn> columns;
  for (const std::string& part : split(spec, ',')) {
    size_t colon = part.find(':');
    if (colon == std::string::npos) {
      return bad(fmt::format(
          "unexpected custom-columns spec: {}, expected <header>:<json-path-expr>", part));
    }
    TRY_ASSIGN(JsonPath path, JsonPath::parse_relaxed(part.substr(colon + 1)));
    columns.push_back({part.substr(0, colon), std::move(path)});
  }
  return columns;
}

std::string custom_columns(const std::vector<OutputColumn>& columns,
                           const std::vector<json::Value>& objects, bool headers) {
  TabWriter writer(6, 3);
  auto line = [&](auto&& cell) {
    std::string text;
    for (const OutputColumn& column : columns) {
      if (&column != &columns[0]) text += '\t';
      text += cell(column);
    }
    writer.write(text + "\n");
  };
  if (headers) line([](const OutputColumn& column) { return column.header; });
  for (const json::Value& object : objects) {
    line([&](const OutputColumn& column) {
      std::string text;
      std::vector<json::Value> found = column.path.find(object);
      for (const json::Value& value : found) text += (text.empty() ? "" : ",") + value_text(value);
      return found.empty() ? std::string("<none>") : text;
    });
  }
  return writer.flush();
}

Result<DryRun> dry_run(const Flags& flags) {
  std::string value = flags.text("dry-run", "none");
  if (value == "none") return DryRun::kNone;
  if (value == "client" || value == "unchanged") return DryRun::kClient;
  if (value == "server") return DryRun::kServer;
  return bad(fmt::format("Invalid dry-run value ({}). Must be \"none\", \"server\", or \"client\".",
                         value));
}

void add_dry_run(net::Query& query, DryRun mode) {
  if (mode == DryRun::kServer) query.add("dryRun", "All");
}

void print_change(const Output& output, const Target& target, const json::Value& object,
                  const std::string& verb, DryRun mode) {
  if (!output.is_table()) {
    print(output.text(object, target.resource->lower_kind()));
    return;
  }
  const char* suffix = mode == DryRun::kClient   ? " (dry run)"
                       : mode == DryRun::kServer ? " (server dry run)"
                                                 : "";
  print(fmt::format("{} {}{}\n", target.text(), verb, suffix));
}

}  // namespace knarr::kubectl
