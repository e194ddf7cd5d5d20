#include "server/http/reply_forms.h"

#include "base/format.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

using json::Value;

// The package that holds the group's internal types, as 406 messages name it.
std::string_view package_of(std::string_view group) {
  if (group.empty() || group == "events.k8s.io") return "core";
  return group.substr(0, group.find('.'));
}

// Metadata as it stands in the API server's internal types, where one annotation is a field.
Value inner_metadata(const Value& object) {
  Value meta = object["metadata"];
  Value* annotations = meta.find("annotations");
  if (annotations != nullptr && object["kind"].as_string() == "DaemonSet" &&
      annotations->erase("deprecated.daemonset.template.generation") && annotations->empty()) {
    meta.erase("annotations");
  }
  return meta;
}

}  // namespace

Error wrong_form(std::string_view group, std::string_view kind, bool is_list) {
  std::string_view asked = is_list ? "PartialObjectMetadata" : "PartialObjectMetadataList";
  std::string_view is = is_list ? "is a list" : "is not a list";
  return not_acceptable(fmt::format("you requested {}, but the requested object {} (*{}.{})", asked,
                                    is, package_of(group), kind));
}

std::string partial_json(std::string_view object_json, std::string_view version) {
  Result<Value> value = json::parse(object_json);
  Value meta = value.ok() ? inner_metadata(*value) : Value::object();
  return json::write(Value::object({{"kind", "PartialObjectMetadata"},
                                    {"apiVersion", "meta.k8s.io/" + std::string(version)},
                                    {"metadata", std::move(meta)}}));
}

Result<void> check_include_object(const Reply& reply) {
  const std::string& include = reply.include_object;
  if (include.empty() || include == "None" || include == "Metadata" || include == "Object") {
    return {};
  }
  return bad_request(fmt::format(
      "Unable to convert to Table as requested: includeObject: Invalid value: \"{}\": must be "
      "'Metadata', 'Object', 'None', or empty",
      include));
}

Value table_row(const Reply& reply, const api::TableRow& row, Value value) {
  Value out = api::table_row_json(row);
  if (reply.include_object == "Object") {
    out.set("object", std::move(value));
  } else if (reply.include_object != "None") {
    out.set("object", Value::object({{"kind", "PartialObjectMetadata"},
                                     {"apiVersion", "meta.k8s.io/" + reply.wanted.version},
                                     {"metadata", inner_metadata(value)}}));
  } else {
    out.set("object", Value());
  }
  return out;
}

Value table_value(const Reply& reply, std::string_view group, std::string_view plural,
                  std::vector<Value> values, Value metadata, bool columns, int64_t now_us) {
  api::Table table = api::to_table(group, plural, values, now_us);
  Value rows = Value::array();
  for (size_t i = 0; i < table.rows.size(); i++) {
    rows.push_back(table_row(reply, table.rows[i], std::move(values[i])));
  }
  Value out =
      Value::object({{"kind", "Table"}, {"apiVersion", "meta.k8s.io/" + reply.wanted.version}});
  out.set("metadata", std::move(metadata));
  out.set("columnDefinitions", columns ? api::table_columns_json(table) : Value());
  out.set("rows", std::move(rows));
  return out;
}

Result<Value> table_of(const Reply& reply, const api::ResourceInfo& resource,
                       const std::vector<ObjectRef>& objects, Value metadata, bool columns,
                       int64_t now_us) {
  TRY(check_include_object(reply));
  std::vector<Value> values;
  values.reserve(objects.size());
  for (const ObjectRef& object : objects) {
    Result<Value> value = json::parse(presented_json(resource, *object));
    values.push_back(value.ok() ? *std::move(value) : Value::object());
  }
  return table_value(reply, resource.group, resource.plural, std::move(values), std::move(metadata),
                     columns, now_us);
}

}  // namespace knarr::server
