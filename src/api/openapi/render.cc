#include "api/openapi/render.h"

#include <algorithm>

namespace knarr::api {
namespace {

using json::Value;

// Bodies are parameters in version 2; these two are shared by their name.
constexpr std::string_view kDeleteBody = "body-2Y1dVQaQ";
constexpr std::string_view kPatchBody = "body-78PwaGsr";

Value strings(const std::vector<std::string_view>& list) {
  Value out = Value::array();
  for (std::string_view s : list) out.push_back(s);
  return out;
}

Value text_schema() { return Value::object({{"type", "string"}}); }

Value content_schema(const Content& content, Definitions& definitions) {
  if (!content.special.empty()) return definitions.ref(content.special);
  return content.type == nullptr ? text_schema() : definitions.ref(*content.type);
}

Value media(const std::vector<std::string_view>& types, const Value& schema) {
  std::vector<std::string_view> sorted = types;
  std::sort(sorted.begin(), sorted.end());
  Value out = Value::object();
  for (std::string_view type : sorted) out.set(type, Value::object({{"schema", schema}}));
  return out;
}

Value plain_parameter(const Parameter& p, Dialect dialect) {
  Value v = Value::object({{"description", p.description}, {"in", p.in}, {"name", p.name}});
  if (p.required()) v.set("required", true);
  if (dialect == Dialect::kV3) {
    v.set("schema", Value::object({{"type", p.type}, {"uniqueItems", true}}));
  } else {
    v.set("type", p.type);
    v.set("uniqueItems", true);
  }
  return v;
}

Value parameter_value(const Parameter& p, Dialect dialect) {
  if (dialect == Dialect::kV3 || p.shared.empty()) return plain_parameter(p, dialect);
  return Value::object({{"$ref", "#/parameters/" + std::string(p.shared)}});
}

Value body_parameter(const Type& type, bool required, Definitions& definitions) {
  Value v = Value::object({{"in", "body"}, {"name", "body"}});
  if (required) v.set("required", true);
  v.set("schema", definitions.ref(type));
  return v;
}

bool same(const Parameter& a, const Parameter& b) {
  return a.name == b.name && a.in == b.in && a.type == b.type;
}

bool takes(const Operation& op, const Parameter& p) {
  return std::any_of(op.parameters.begin(), op.parameters.end(),
                     [&](const Parameter& other) { return same(other, p); });
}

std::vector<Parameter> common_parameters(const PathItem& item) {
  std::vector<Parameter> out;
  for (const Parameter& p : item.operations[0].parameters) {
    bool all = std::all_of(item.operations.begin(), item.operations.end(),
                           [&](const Operation& op) { return takes(op, p); });
    if (all) out.push_back(p);
  }
  return out;
}

Value answers_of(Dialect dialect, const Operation& op, Definitions& definitions) {
  Value out = Value::object();
  for (const Answers& a : op.answers) {
    std::string_view text = "OK";
    if (a.code == 201) text = "Created";
    if (a.code == 202) text = "Accepted";
    if (a.code == 401) text = "Unauthorized";
    Value one = Value::object();
    if (!a.content.none && dialect == Dialect::kV3) {
      one.set("content", media(op.produces, content_schema(a.content, definitions)));
    }
    one.set("description", text);
    if (!a.content.none && dialect == Dialect::kV2) {
      one.set("schema", content_schema(a.content, definitions));
    }
    out.set(std::to_string(a.code), std::move(one));
  }
  return out;
}

void set_body(Dialect dialect, const Operation& op, Definitions& definitions, Value& out,
              Value& parameters) {
  if (op.body == nullptr) return;
  if (dialect == Dialect::kV3) {
    Value body = Value::object({{"content", media(op.consumes, definitions.ref(*op.body))}});
    if (op.body_required) body.set("required", true);
    out.set("requestBody", std::move(body));
    return;
  }
  std::string_view name = op.body->name;
  Value body = body_parameter(*op.body, op.body_required, definitions);
  if (name == "DeleteOptions" || name == "Patch") {
    std::string_view shared = name == "Patch" ? kPatchBody : kDeleteBody;
    body = Value::object({{"$ref", "#/parameters/" + std::string(shared)}});
  }
  parameters.push_back(std::move(body));
}

Value render_operation(Dialect dialect, const Operation& op, const std::vector<Parameter>& common,
                       Definitions& definitions) {
  Value out = Value::object();
  if (dialect == Dialect::kV2) out.set("consumes", strings(op.consumes));
  out.set("description", op.description);
  out.set("operationId", op.id);
  Value parameters = Value::array();
  set_body(dialect, op, definitions, out, parameters);
  for (const Parameter& p : op.parameters) {
    bool shared = std::any_of(common.begin(), common.end(),
                              [&](const Parameter& other) { return same(other, p); });
    if (!shared) parameters.push_back(parameter_value(p, dialect));
  }
  if (!parameters.empty()) out.set("parameters", std::move(parameters));
  if (dialect == Dialect::kV2) out.set("produces", strings(op.produces));
  out.set("responses", answers_of(dialect, op, definitions));
  if (dialect == Dialect::kV2) out.set("schemes", Value::array({"https"}));
  out.set("tags", Value::array({op.tag}));
  if (!op.action.empty()) out.set("x-kubernetes-action", op.action);
  if (!op.kind.empty()) {
    out.set("x-kubernetes-group-version-kind",
            Value::object({{"group", op.group}, {"kind", op.kind}, {"version", op.version}}));
  }
  return out;
}

}  // namespace

Value render_path(Dialect dialect, const PathItem& item, Definitions& definitions) {
  std::vector<Parameter> common = common_parameters(item);
  Value out = Value::object();
  for (const Operation& op : item.operations) {
    out.set(op.method, render_operation(dialect, op, common, definitions));
  }
  if (common.empty()) return out;
  Value parameters = Value::array();
  for (const Parameter& p : common) parameters.push_back(parameter_value(p, dialect));
  out.set("parameters", std::move(parameters));
  return out;
}

Value render_shared_parameters(Definitions& definitions) {
  Value out = Value::object();
  for (const Parameter& p : shared_parameters()) {
    out.set(p.shared, plain_parameter(p, Dialect::kV2));
  }
  out.set(kDeleteBody,
          body_parameter(*find_type("meta.k8s.io", "v1", "DeleteOptions"), false, definitions));
  out.set(kPatchBody, body_parameter(*find_type("meta.k8s.io", "v1", "Patch"), true, definitions));
  return out;
}

}  // namespace knarr::api
