#include "api/openapi/definitions.h"

#include <array>

#include "api/openapi/describe.h"
#include "api/openapi/names.h"
#include "base/format.h"

namespace knarr::api {
namespace {

using json::Value;

std::string_view group_of(const Type& type) { return type.group == nullptr ? "" : type.group; }

bool in_meta(const Type& type, std::string_view name) {
  return group_of(type) == "meta.k8s.io" && type.name == name;
}

// Only kinds have a list of group, version and kind.
bool is_kind(const Type& type) {
  const Field* kind = type.field("kind");
  return kind != nullptr && kind->is(Field::kTypeMeta);
}

struct FieldName {
  std::string_view type;
  std::string_view field;
};

bool is_among(std::span<const FieldName> list, const Type& owner, const Field& field) {
  for (const FieldName& name : list) {
    if (name.type == owner.name && name.field == field.name()) return true;
  }
  return false;
}

// Upstream has no description for these, and so publishes their reference bare.
constexpr std::array<FieldName, 7> kBare = {{{"IngressRule", "http"},
                                             {"JSONSchemaProps", "additionalItems"},
                                             {"JSONSchemaProps", "additionalProperties"},
                                             {"JSONSchemaProps", "example"},
                                             {"JSONSchemaProps", "externalDocs"},
                                             {"JSONSchemaProps", "items"},
                                             {"JSONSchemaProps", "not"}}};

// Members of these are owned one by one by a marker of the field, which is published.
constexpr std::array<FieldName, 2> kGranular = {
    {{"PersistentVolumeClaimStatus", "allocatedResourceStatuses"},
     {"PersistentVolumeSpec", "claimRef"}}};

// x-kubernetes-unions: the discriminator, and the fields it tells apart.
struct Union {
  std::string_view type;
  std::string_view discriminator;
  std::string_view fields;  // "name=Value,..."
};
constexpr std::array<Union, 6> kUnions = {{
    {"AppArmorProfile", "type", "localhostProfile=LocalhostProfile"},
    {"LimitResponse", "type", "queuing=Queuing"},
    {"PodSchedulingGroup", "", "podGroupName=PodGroupName"},
    {"PriorityLevelConfigurationSpec", "type", "exempt=Exempt,limited=Limited"},
    {"SeccompProfile", "type", "localhostProfile=LocalhostProfile"},
    {"Subject", "kind", "group=Group,serviceAccount=ServiceAccount,user=User"},
}};

void add_union(const Type& type, Value& schema) {
  if (type.name == std::string_view("Subject") &&
      group_of(type) != "flowcontrol.apiserver.k8s.io") {
    return;
  }
  for (const Union& u : kUnions) {
    if (u.type != type.name) continue;
    Value fields = Value::object();
    for (std::string_view rest = u.fields; !rest.empty();) {
      size_t comma = rest.find(',');
      std::string_view one = rest.substr(0, comma);
      fields.set(one.substr(0, one.find('=')), one.substr(one.find('=') + 1));
      rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    }
    Value entry = Value::object();
    if (!u.discriminator.empty()) entry.set("discriminator", u.discriminator);
    entry.set("fields-to-discriminateBy", std::move(fields));
    schema.set("x-kubernetes-unions", Value::array({entry}));
  }
}

// The one map whose values are a closed set; what the catalogue knows of the field are its keys.
constexpr const char* kResizeStates =
    "ControllerResizeInProgress|ControllerResizeInfeasible|NodeResizeInProgress|"
    "NodeResizeInfeasible|NodeResizePending";

const char* enum_values(const Type& owner, const Field& field) {
  bool resize = std::string_view(owner.name) == "PersistentVolumeClaimStatus" &&
                field.name() == "allocatedResourceStatuses";
  return resize ? kResizeStates : field.facts->enum_values;
}

// Sorted; a bar at the end adds the empty text.
Value enum_of(const char* values) {
  std::map<std::string_view, bool> sorted;
  std::string_view rest = values;
  while (true) {
    size_t bar = rest.find('|');
    sorted[rest.substr(0, bar)] = true;
    if (bar == std::string_view::npos) break;
    rest.remove_prefix(bar + 1);
  }
  Value out = Value::array();
  for (const auto& [value, there] : sorted) out.push_back(value);
  return out;
}

// What the schema publishes as the value of a field that is not given; null: nothing.
Value default_of(const Field& field) {
  if (field.facts->default_json != nullptr) {
    Result<Value> given = json::parse(field.facts->default_json);
    if (given.ok()) return *std::move(given);
  }
  if (field.is(Field::kPointer)) return {};
  if (field.type->is_struct()) return Value::object();
  if (field.is(Field::kOmitEmpty)) return {};
  switch (field.type->kind) {
    case TypeKind::kString: return "";
    case TypeKind::kBool: return false;
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kDouble: return 0;
    default: return {};
  }
}

void add_merge(const Type& owner, const Field& field, Value& v) {
  const Type& t = *field.type;
  bool list_items = field.name() == "items" && std::string_view(owner.name).ends_with("List");
  if (t.kind == TypeKind::kList && !list_items && !field.is(Field::kWrapped)) {
    if (t.merge == Merge::kMap) {
      Value keys = Value::array();
      for (const char* key : t.merge_keys()) keys.push_back(key);
      v.set("x-kubernetes-list-map-keys", std::move(keys));
    }
    v.set("x-kubernetes-list-type", t.merge == Merge::kMap   ? "map"
                                    : t.merge == Merge::kSet ? "set"
                                                             : "atomic");
  }
  if (t.kind == TypeKind::kMap && t.merge == Merge::kAtomic) {
    v.set("x-kubernetes-map-type", "atomic");
  }
  if (is_among(kGranular, owner, field)) v.set("x-kubernetes-map-type", "granular");
  if (field.facts->merge_key != nullptr) {
    v.set("x-kubernetes-patch-merge-key", field.facts->merge_key);
  }
  std::string strategy;
  if (field.is(Field::kPatchMerge)) strategy = "merge";
  if (field.is(Field::kPatchReplace)) strategy = "replace";
  if (field.is(Field::kRetainKeys)) strategy += strategy.empty() ? "retainKeys" : ",retainKeys";
  if (!strategy.empty()) v.set("x-kubernetes-patch-strategy", strategy);
}

Value described(std::string_view text, std::string_view type, std::string_view format = {}) {
  Value v = Value::object({{"description", text}, {"type", type}});
  if (!format.empty()) v.set("format", format);
  return v;
}

// What /version answers: required members first in name, those that may be missing marked by a '?'.
Value version_info(bool defaults) {
  Value properties = Value::object();
  Value required = Value::array();
  for (std::string_view name :
       {"buildDate", "compiler", "emulationMajor?", "emulationMinor?", "gitCommit", "gitTreeState",
        "gitVersion", "goVersion", "major", "minCompatibilityMajor?", "minCompatibilityMinor?",
        "minor", "platform"}) {
    bool optional = name.ends_with('?');
    if (optional) name.remove_suffix(1);
    Value property = described(words_of(name), "string");
    if (!optional && defaults) property.set("default", "");
    properties.set(name, std::move(property));
  }
  for (const char* name : {"major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate",
                           "goVersion", "compiler", "platform"}) {
    required.push_back(name);
  }
  Value out = described("What the server was built from.", "object");
  out.set("properties", std::move(properties));
  out.set("required", std::move(required));
  return out;
}

}  // namespace

Value Definitions::ref_to(std::string_view name) const {
  return Value::object(
      {{"$ref",
        fmt::format("#/{}/{}", dialect_ == Dialect::kV2 ? "definitions" : "components/schemas",
                    name)}});
}

Value Definitions::ref(const Type& type) {
  need(type);
  return ref_to(definition_name(type));
}

Value Definitions::ref(std::string_view special) {
  needed_.emplace(special, nullptr);
  return ref_to(special);
}

void Definitions::need(const Type& type) {
  auto [it, fresh] = needed_.emplace(definition_name(type), &type);
  if (!fresh) return;
  for (const Field& field : type.fields()) need_value(type, field, *field.type);
}

void Definitions::need_value(const Type& owner, const Field& field, const Type& type) {
  if (type.is_struct()) return need(type);
  std::string special = special_definition(owner, field, type);
  if (!special.empty()) {
    needed_.emplace(std::move(special), nullptr);
  } else if (type.element != nullptr) {
    need_value(owner, field, *type.element);
  }
}

void Definitions::each(const std::function<void(const std::string&, const Value&)>& fn) {
  for (const auto& [name, type] : needed_) {
    fn(name, type == nullptr ? special_schema(name) : struct_schema(*type));
  }
}

Value Definitions::special_schema(std::string_view name) const {
  bool v2 = dialect_ == Dialect::kV2;
  if (name == kVersionInfo) return version_info(!v2);
  std::string_view word = name.substr(name.rfind('.') + 1);
  if (word == "Time") return described("A moment, as RFC 3339 has it.", "string", "date-time");
  if (word == "MicroTime") {
    return described("A moment with microseconds, as RFC 3339 has it.", "string", "date-time");
  }
  if (word == "Duration") return described("A length of time, such as 1m30s.", "string");
  if (word == "FieldsV1") return described("A set of fields, as a trie.", "object");
  if (word == "RawExtension") return described("Any object.", "object");
  if (word == "IntOrString") {
    std::string_view text = "A number, or a text such as a percentage or the name of a port.";
    if (v2) return described(text, "string", "int-or-string");
    Value either =
        Value::array({Value::object({{"type", "integer"}}), Value::object({{"type", "string"}})});
    return Value::object(
        {{"description", text}, {"format", "int-or-string"}, {"oneOf", std::move(either)}});
  }
  if (word == "Quantity") {
    std::string_view text = "An amount with its unit, such as 500m, 1.5Gi or 2e3.";
    if (v2) return described(text, "string");
    Value either =
        Value::array({Value::object({{"type", "string"}}), Value::object({{"type", "number"}})});
    return Value::object({{"description", text}, {"oneOf", std::move(either)}});
  }
  return Value::object({{"description", "Any JSON value that a schema allows here."}});
}

Value Definitions::kinds_of(const Type& type) const {
  auto kind = [&](std::string_view group, std::string_view version) {
    return Value::object({{"group", group}, {"kind", type.name}, {"version", version}});
  };
  bool shared = in_meta(type, "DeleteOptions") || in_meta(type, "WatchEvent");
  if (!is_kind(type) && !shared) return {};
  if (group_of(type) != "meta.k8s.io") return Value::array({kind(group_of(type), type.version)});
  Value out = Value::array({kind("", "v1")});
  for (const auto& [group, version] : groups_) {
    if (shared && !group.empty()) out.push_back(kind(group, version));
  }
  return out;
}

Value Definitions::struct_schema(const Type& type) const {
  Value out = Value::object({{"description", describe_type(type)}});
  Value required = Value::array();
  for (const Field& field : type.fields()) {
    if (field.is(Field::kRequired)) required.push_back(field.name());
  }
  if (type.field_count > 0) {
    Value properties = Value::object();
    for (size_t i = 0; i < type.field_count; i++) {
      const Field& field = type.field_rows[type.by_name[i]];
      properties.set(field.name(), property(type, field));
    }
    out.set("properties", std::move(properties));
  }
  if (!required.empty()) out.set("required", std::move(required));
  out.set("type", "object");
  if (Value kinds = kinds_of(type); !kinds.is_null()) {
    out.set("x-kubernetes-group-version-kind", std::move(kinds));
  }
  if (type.merge == Merge::kAtomic) out.set("x-kubernetes-map-type", "atomic");
  add_union(type, out);
  return out;
}

Value Definitions::property(const Type& owner, const Field& field) const {
  Value v = value_schema(owner, field, *field.type);
  Value fallback = dialect_ == Dialect::kV3 ? default_of(field) : Value();
  const Value* reference = v.find("$ref");
  if (reference != nullptr && dialect_ == Dialect::kV3 && !is_among(kBare, owner, field)) {
    v = Value::object({{"allOf", Value::array({v})}});
  }
  // What stands beside a bare reference is not looked at.
  if (v.find("$ref") == nullptr || dialect_ == Dialect::kV2) {
    v.set("description", describe_field(owner, field));
  }
  if (!fallback.is_null()) v.set("default", std::move(fallback));
  if (const char* set = enum_values(owner, field); set != nullptr) {
    Value values = enum_of(set);
    if (Value* items = v.find("items")) {
      items->set("enum", std::move(values));
    } else if (Value* members = v.find("additionalProperties")) {
      members->set("enum", std::move(values));
    } else {
      v.set("enum", std::move(values));
    }
  }
  add_merge(owner, field, v);
  return v;
}

Value Definitions::value_schema(const Type& owner, const Field& field, const Type& type) const {
  auto scalar = [](std::string_view name, std::string_view format = {}) {
    Value v = Value::object({{"type", name}});
    if (!format.empty()) v.set("format", format);
    return v;
  };
  if (type.is_struct()) return ref_to(definition_name(type));
  std::string special = special_definition(owner, field, type);
  if (!special.empty()) return ref_to(special);
  switch (type.kind) {
    case TypeKind::kBool: return scalar("boolean");
    case TypeKind::kInt32: return scalar("integer", "int32");
    case TypeKind::kInt64: return scalar("integer", "int64");
    case TypeKind::kDouble: return scalar("number", "double");
    case TypeKind::kBytes: return scalar("string", "byte");
    case TypeKind::kList:
      return Value::object(
          {{"items", value_schema(owner, field, *type.element)}, {"type", "array"}});
    case TypeKind::kMap:
      return Value::object({{"additionalProperties", value_schema(owner, field, *type.element)},
                            {"type", "object"}});
    default: return scalar("string");
  }
}

}  // namespace knarr::api
