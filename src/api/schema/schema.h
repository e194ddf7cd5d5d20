// The Kubernetes API's types as tables. A Type says how a value of it looks in JSON and in
// protobuf, how lists and maps of it merge; a Field is a member of a struct. The built-in types are
// constant data, generated at build time from catalogue/*.schema; custom resources make the same
// structs from their OpenAPI schemas at run time. One engine (decode, encode, defaults, patches,
// apply) walks both. Immutable, hence free to use on any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace knarr::json {
class Value;
}

namespace knarr::api {

enum class TypeKind : uint8_t {
  kString,
  kBool,
  kInt32,
  kInt64,
  kDouble,
  kBytes,        // base64 in JSON
  kTime,         // RFC 3339, whole seconds, UTC; null when zero
  kMicroTime,    // the same with six decimals
  kDuration,     // Go's text: "1m30s"
  kQuantity,     // canonical text: "500m"
  kIntOrString,  // a JSON int32 or string
  kAny,          // any JSON, kept as it is (RawExtension, FieldsV1, JSON)
  kStruct,       // fields
  kList,         // of element
  kMap,          // string to element
  // JSON schema members that take two forms; element is JSONSchemaProps.
  kSchemaOrArray,
  kSchemaOrBool,
  kSchemaOrStrings,
};

// How server-side apply and strategic merge see the elements of a list or map.
enum class Merge : uint8_t {
  kAtomic,     // owned and replaced as a whole
  kSet,        // a list of scalars, each owned apart
  kMap,        // a list of structs, told apart by Type::keys
  kSeparable,  // a map or struct: every member owned apart
};

struct Type;

// A Go struct embedded in another: its fields appear in the outer one's JSON, but in protobuf it is
// a message of its own.
struct Inline {
  const char* go_name;  // "ProbeHandler"
  const Type* type;
  uint16_t number;      // protobuf
  const Inline* outer;  // when it is itself embedded in an embedded struct; else null
};

// What few fields have. Absent texts are null.
struct FieldFacts {
  const char* default_json;  // published with the schema, and filled in
  const char* fill_json;    // filled in when unset or zero: default_json, or a rule of the server's
  const char* enum_values;  // closed set: "TCP|UDP|SCTP"
  const char* known_values;  // open set
  const char* merge_key;     // of strategic merge patch
  const char* gate;          // feature gates, comma separated
  const char* rules;         // declarative validation: "minimum=0;maxItems=32"
  const char* description;
};

struct Field {
  static constexpr uint16_t kRequired = 1;       // as OpenAPI publishes it
  static constexpr uint16_t kOmitEmpty = 2;      // zero values are not written
  static constexpr uint16_t kOmitZero = 4;       // nor a zero struct or time
  static constexpr uint16_t kPointer = 8;        // a set zero differs from absent, and is kept
  static constexpr uint16_t kPatchMerge = 16;    // patchStrategy merge
  static constexpr uint16_t kPatchReplace = 32;  // patchStrategy replace
  static constexpr uint16_t kRetainKeys = 64;    // patchStrategy retainKeys
  static constexpr uint16_t kAtomic = 128;       // server-side apply owns the value as a whole
  static constexpr uint16_t kGateOff = 256;      // its feature gate is off by default at 1.36
  static constexpr uint16_t kTypeMeta = 512;     // kind, apiVersion: not in the protobuf message
  static constexpr uint16_t kWrapped = 1024;  // protobuf wraps each list in a message (items = 1)

  const char* name_text;
  const Type* type;
  const FieldFacts* facts;  // never null
  const Inline* via;        // null: of this struct itself
  uint16_t number;          // protobuf; 0: none
  uint16_t flags;
  uint8_t name_size;

  std::string_view name() const { return {name_text, name_size}; }
  bool is(uint16_t flag) const { return (flags & flag) != 0; }
  // The closed set of values holds this one; true when there is no set.
  bool enum_has(std::string_view value) const;
};

struct Type {
  TypeKind kind;
  Merge merge;              // of lists, maps and structs
  uint8_t key_count;        // of `keys`
  bool has_defaults;        // here or somewhere below
  uint16_t field_count;     // of `fields`
  const char* name;         // "PodSpec"; of scalars the Go name without package ("RestartPolicy")
  const char* go_name;      // as Go's errors print it: "v1.PodSpec", "[]v1.Container", "int32"
  const char* group;        // of structs: "" is core; null elsewhere
  const char* version;      // "v1"
  const Type* element;      // of lists, maps and the schema forms
  const Field* field_rows;  // in canonical order; embedded structs flattened
  const uint16_t* by_name;  // indices into `fields`, sorted by name
  const char* const* keys;  // of a list that merges by key
  void (*default_hook)(json::Value&);  // what `fill_json` can't say; may be null

  std::span<const Field> fields() const { return {field_rows, field_count}; }
  std::span<const char* const> merge_keys() const { return {keys, key_count}; }
  bool is_struct() const { return kind == TypeKind::kStruct; }
  // Null when absent. Names are case-sensitive.
  const Field* field(std::string_view json_name) const;
  // The index into fields() of a name; -1 when absent.
  int field_index(std::string_view json_name) const;
};

// A struct of the catalogue: find_type("apps", "v1", "Deployment"); null when there is none.
// "metrics.k8s.io" and "meta.k8s.io" (DeleteOptions, Status, ObjectMeta) are groups as well.
const Type* find_type(std::string_view group, std::string_view version, std::string_view name);

// The type that a path of member names leads to, through lists and maps: ("spec", "containers",
// "image"). Null when it leads nowhere.
const Field* find_field(const Type& type, std::span<const std::string_view> path);

// Every struct of the catalogue, sorted by group, version, name.
std::span<const Type* const> all_types();

// The type of ObjectMeta, which custom resources share.
const Type& object_meta_type();
// A type for "any JSON".
const Type& any_type();

}  // namespace knarr::api
