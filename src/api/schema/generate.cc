// schema_generate OUT.cc CATALOGUE...: the schema catalogue as constant tables (see schema.h).
// Every distinct type (struct, list, map, named scalar) becomes one row; structs come first,
// embedded ones flattened into those that embed them. Rows refer to each other by address, which
// the linker fixes: nothing runs at start.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <tuple>

#include "catalogue_reader.h"

namespace knarr::api {

namespace {

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "schema_generate: %s\n", why.c_str());
  std::exit(1);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string quoted_or_null(const std::string& text) {
  return text.empty() ? "nullptr" : quoted(text);
}

// How the API calls a group that the catalogue calls otherwise.
std::string group_name(const std::string& group) {
  if (group == "core") return "";
  return group == "meta" ? "meta.k8s.io" : group;
}

struct Scalar {
  const char* kind;
  const char* go_name;
};

const std::map<std::string, Scalar> kScalars = {
    {"string", {"kString", "string"}},
    {"bool", {"kBool", "bool"}},
    {"int32", {"kInt32", "int32"}},
    {"int64", {"kInt64", "int64"}},
    {"double", {"kDouble", "float64"}},
    {"bytes", {"kBytes", "[]uint8"}},
    {"Time", {"kTime", "v1.Time"}},
    {"MicroTime", {"kMicroTime", "v1.MicroTime"}},
    {"Duration", {"kDuration", "v1.Duration"}},
    {"Quantity", {"kQuantity", "resource.Quantity"}},
    {"IntOrString", {"kIntOrString", "intstr.IntOrString"}},
    {"any", {"kAny", "runtime.RawExtension"}},
    {"schema-or-array", {"kSchemaOrArray", "v1.JSONSchemaPropsOrArray"}},
    {"schema-or-bool", {"kSchemaOrBool", "v1.JSONSchemaPropsOrBool"}},
    {"schema-or-strings", {"kSchemaOrStrings", "v1.JSONSchemaPropsOrStringArray"}},
};

struct TypeRow {
  std::string kind;
  std::string merge = "kAtomic";
  std::string name;
  std::string go_name;
  std::string group;
  std::string version;
  bool is_struct = false;
  int element = -1;
  std::vector<std::string> keys;
  std::string hook;
  const TypeLine* line = nullptr;
  const GroupVersion* gv = nullptr;
  size_t first_field = 0;
  size_t field_count = 0;
  bool has_defaults = false;
};

struct FieldRow {
  FieldLine line;
  int type = -1;
  int via = -1;  // index of an inline row
  size_t facts = 0;
};

struct InlineRow {
  std::string go_name;
  int type = -1;
  int number = 0;
  int outer = -1;
};

class Generator {
 public:
  explicit Generator(std::vector<GroupVersion> catalogue) : catalogue_(std::move(catalogue)) {}
  std::string run();

 private:
  void add_structs();
  void flatten(const GroupVersion& gv, const TypeLine& type, int via);
  int type_of(const GroupVersion& gv, const std::string& type, const std::string& go_name,
              const FieldLine* field);
  int struct_of(const GroupVersion& gv, const std::string& type);
  size_t facts_of(const FieldLine& field);
  void find_defaults();
  std::string flags_of(const FieldRow& field);
  void emit_fields(std::ostream& out);
  void emit_types(std::ostream& out);
  void emit_resources(std::ostream& out);
  void emit_resource(std::ostream& out, const GroupVersion& gv, const ResourceLine& r, size_t id);

  std::vector<GroupVersion> catalogue_;
  std::vector<TypeRow> types_;
  std::map<std::string, int> type_index_;
  std::vector<FieldRow> fields_;
  std::vector<InlineRow> inlines_;
  std::vector<std::string> facts_;
  std::map<std::string, size_t> facts_index_;
};

void Generator::add_structs() {
  for (const GroupVersion& gv : catalogue_) {
    for (const TypeLine& line : gv.types) {
      TypeRow row;
      row.kind = "kStruct";
      row.merge = line.atomic ? "kAtomic" : "kSeparable";
      row.name = line.name;
      row.go_name = gv.version + "." + line.name;
      row.group = group_name(gv.group);
      row.version = gv.version;
      row.is_struct = true;
      row.line = &line;
      row.gv = &gv;
      if (line.hook) {
        row.hook = "default_" + gv.group.substr(0, gv.group.find('.')) + "_" + gv.version + "_" +
                   line.name;
      }
      type_index_[gv.ref() + "." + line.name] = static_cast<int>(types_.size());
      types_.push_back(row);
    }
  }
}

int Generator::struct_of(const GroupVersion& gv, const std::string& type) {
  std::string key = type.find('/') == std::string::npos ? gv.ref() + "." + type : type;
  auto it = type_index_.find(key);
  if (it == type_index_.end()) fail("no type " + key);
  return it->second;
}

// The row of a type expression; made when it is a new one. `field` gives the merge markers of the
// outermost list or map.
int Generator::type_of(const GroupVersion& gv, const std::string& type, const std::string& go_name,
                       const FieldLine* field) {
  bool list = type.rfind("[]", 0) == 0;
  bool map = type.rfind("map<", 0) == 0;
  auto scalar = kScalars.find(type);
  if (!list && !map && scalar == kScalars.end()) return struct_of(gv, type);

  TypeRow row;
  if (scalar != kScalars.end()) {
    row.kind = scalar->second.kind;
    row.go_name = go_name.empty() ? scalar->second.go_name : go_name;
    if (type.rfind("schema-or-", 0) == 0) row.element = struct_of(gv, "JSONSchemaProps");
  } else {
    std::string prefix = list ? "[]" : "map[";
    std::string element_go;
    if (go_name.rfind(prefix, 0) == 0)
      element_go = go_name.substr(list ? 2 : go_name.find(']') + 1);
    std::string element = list ? type.substr(2) : type.substr(4, type.size() - 5);
    row.kind = list ? "kList" : "kMap";
    row.element = type_of(gv, element, element_go, nullptr);
    row.go_name =
        go_name.empty() ? (list ? "[]" : "map[string]") + types_[row.element].go_name : go_name;
    row.merge = list ? "kAtomic" : "kSeparable";
    if (field != nullptr && field->has("atomic")) row.merge = "kAtomic";
    if (field != nullptr && field->has("set")) row.merge = "kSet";
    if (field != nullptr && field->has("keys")) {
      row.merge = "kMap";
      row.keys = split(field->get("keys"), ',');
    }
  }
  size_t dot = row.go_name.rfind('.');
  row.name = scalar == kScalars.end() || dot == std::string::npos ? row.go_name
                                                                  : row.go_name.substr(dot + 1);
  std::string key =
      row.kind + " " + row.go_name + " " + row.merge + " " + std::to_string(row.element);
  for (const std::string& k : row.keys) key += "," + k;
  auto [it, fresh] = type_index_.emplace(key, static_cast<int>(types_.size()));
  if (fresh) types_.push_back(row);
  return it->second;
}

size_t Generator::facts_of(const FieldLine& field) {
  std::string fill = field.has("fill") ? field.get("fill") : field.get("default");
  std::string row =
      "{" + quoted_or_null(field.get("default")) + ", " + quoted_or_null(fill) + ", " +
      quoted_or_null(field.get("enum")) + ", " + quoted_or_null(field.get("known")) + ", " +
      quoted_or_null(field.get("patchkey")) + ", " + quoted_or_null(field.get("gate")) + ", " +
      quoted_or_null(field.get("rules")) + ", " + quoted_or_null(field.description) + "}";
  auto [it, fresh] = facts_index_.emplace(row, facts_.size());
  if (fresh) facts_.push_back(row);
  return it->second;
}

// Appends the fields of a struct, those of embedded structs in their place.
void Generator::flatten(const GroupVersion& gv, const TypeLine& type, int via) {
  for (const FieldLine& line : type.fields) {
    if (line.inline_struct) {
      int embedded = struct_of(gv, line.type);
      inlines_.push_back({types_[embedded].name, embedded, line.number, via});
      const TypeRow row = types_[embedded];
      flatten(*row.gv, *row.line, static_cast<int>(inlines_.size()) - 1);
    } else if (line.type_meta) {
      for (const char* name : {"kind", "apiVersion"}) {
        FieldLine meta = line;
        meta.name = name;
        meta.type = "string";
        meta.optional = meta.omit_empty = true;
        fields_.push_back({meta, type_of(gv, "string", "", nullptr), via, facts_of(meta)});
      }
    } else {
      fields_.push_back({line, type_of(gv, line.type, line.get("go"), &line), via, facts_of(line)});
    }
  }
}

// A type has defaults when a field of it does, or a hook, or a type below it: to a fixed point.
void Generator::find_defaults() {
  for (bool changed = true; changed;) {
    changed = false;
    for (TypeRow& type : types_) {
      bool has = !type.hook.empty() || (type.element >= 0 && types_[type.element].has_defaults);
      if (type.go_name == "v1.ResourceList") has = true;
      for (size_t i = 0; i < type.field_count; i++) {
        const FieldRow& field = fields_[type.first_field + i];
        has = has || field.line.has("default") || field.line.has("fill") ||
              types_[field.type].has_defaults;
      }
      if (has && !type.has_defaults) changed = type.has_defaults = true;
    }
  }
}

std::string Generator::flags_of(const FieldRow& field) {
  const FieldLine& f = field.line;
  std::vector<std::string> patch = split(f.get("patch"), ',');
  auto patches = [&](const char* s) { return std::count(patch.begin(), patch.end(), s) != 0; };
  int flags = 0;
  if (!f.optional) flags |= 1;
  if (f.omit_empty) flags |= 2;
  if (f.has("omitzero")) flags |= 4;
  if (f.pointer) flags |= 8;
  if (patches("merge")) flags |= 16;
  if (patches("replace")) flags |= 32;
  if (patches("retainKeys")) flags |= 64;
  if (f.has("atomic")) flags |= 128;
  if (f.has("off")) flags |= 256;
  if (f.type_meta) flags |= 512;
  if (f.has("wrapped")) flags |= 1024;
  return std::to_string(flags);
}

void Generator::emit_fields(std::ostream& out) {
  out << "constexpr FieldFacts kFacts[] = {\n";
  for (const std::string& row : facts_) out << row << ",\n";
  out << "};\nextern const Inline kInlines[" << inlines_.size() << "];\n";
  out << "constexpr Field kFields[] = {\n";
  for (const FieldRow& f : fields_) {
    out << "{" << quoted(f.line.name) << ", kTypes + " << f.type << ", kFacts + " << f.facts
        << ", ";
    if (f.via < 0) {
      out << "nullptr";
    } else {
      out << "kInlines + " << f.via;
    }
    out << ", " << f.line.number << ", " << flags_of(f) << ", " << f.line.name.size() << "},\n";
  }
  out << "};\nconst Inline kInlines[" << inlines_.size() << "] = {\n";
  for (const InlineRow& i : inlines_) {
    out << "{" << quoted(i.go_name) << ", kTypes + " << i.type << ", " << i.number << ", ";
    if (i.outer < 0) {
      out << "nullptr},\n";
    } else {
      out << "kInlines + " << i.outer << "},\n";
    }
  }
  out << "};\n";
}

void Generator::emit_types(std::ostream& out) {
  std::vector<std::string> by_name;
  std::vector<std::string> keys;
  std::map<std::vector<std::string>, size_t> key_index;
  std::stringstream rows;
  for (const TypeRow& t : types_) {
    std::vector<size_t> order(t.field_count);
    for (size_t i = 0; i < order.size(); i++) order[i] = i;
    auto name = [&](size_t i) { return fields_[t.first_field + i].line.name; };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return name(a) < name(b); });
    for (size_t i = 1; i < order.size(); i++) {
      if (name(order[i]) == name(order[i - 1])) fail(t.name + ": two fields " + name(order[i]));
    }
    size_t first_name = by_name.size();
    for (size_t i : order) by_name.push_back(std::to_string(i));
    auto [key, fresh] = key_index.emplace(t.keys, keys.size());
    if (fresh) {
      for (const std::string& k : t.keys) keys.push_back(quoted(k));
    }
    rows << "{TypeKind::" << t.kind << ", Merge::" << t.merge << ", " << t.keys.size() << ", "
         << t.has_defaults << ", " << t.field_count << ", " << quoted(t.name) << ", "
         << quoted(t.go_name) << ", " << (t.is_struct ? quoted(t.group) : "nullptr") << ", "
         << (t.is_struct ? quoted(t.version) : "nullptr") << ", ";
    rows << (t.element < 0 ? "nullptr" : "kTypes + " + std::to_string(t.element)) << ", kFields + "
         << t.first_field << ", kByName + " << first_name << ", kKeys + " << key->second << ", "
         << (t.hook.empty() ? "nullptr" : t.hook) << "},\n";
  }
  auto list = [&](const std::vector<std::string>& items) {
    for (size_t i = 0; i < items.size(); i++) out << items[i] << (i % 16 == 15 ? ",\n" : ", ");
    out << "};\n";
  };
  out << "constexpr uint16_t kByName[] = {";
  list(by_name);
  out << "constexpr const char* kKeys[] = {";
  keys.push_back("nullptr");
  list(keys);
  out << "const Type kTypes[" << types_.size() << "] = {\n" << rows.str() << "};\n";

  std::vector<size_t> structs;
  for (size_t i = 0; i < types_.size() && types_[i].is_struct; i++) structs.push_back(i);
  std::sort(structs.begin(), structs.end(), [&](size_t a, size_t b) {
    const TypeRow &x = types_[a], &y = types_[b];
    return std::tie(x.group, x.version, x.name) < std::tie(y.group, y.version, y.name);
  });
  std::vector<std::string> rows_by_name;
  for (size_t i : structs) rows_by_name.push_back("kTypes + " + std::to_string(i));
  out << "constexpr const Type* kStructs[] = {\n";
  list(rows_by_name);
}

std::string verb_bits(const std::string& verbs) {
  static const char* kNames[] = {"create", "delete", "deletecollection", "get",
                                 "list",   "patch",  "update",           "watch"};
  int bits = 0;
  for (const std::string& verb : split(verbs, ',')) {
    int bit = 0;
    while (bit < 8 && verb != kNames[bit]) bit++;
    if (bit == 8) fail("no verb " + verb);
    bits |= 1 << bit;
  }
  return std::to_string(bits);
}

void emit_texts(std::ostream& out, const std::string& name, const std::string& texts) {
  if (texts.empty()) return;
  out << "constexpr std::string_view " << name << "[] = {";
  for (const std::string& text : split(texts, ',')) out << quoted(text) << ", ";
  out << "};\n";
}

// Writes what the row of a resource points at, and returns nothing: the row itself is made by
// emit_resources.
void Generator::emit_resource(std::ostream& out, const GroupVersion& gv, const ResourceLine& r,
                              size_t id) {
  std::string n = std::to_string(id);
  auto marker = [&](const char* m) {
    auto it = r.markers.find(m);
    return it == r.markers.end() ? std::string() : it->second;
  };
  emit_texts(out, "kShort" + n, marker("short"));
  emit_texts(out, "kCategories" + n, marker("categories"));
  if (r.subresources.empty()) return;
  out << "constexpr Subresource kSubresources" << n << "[] = {\n";
  for (const SubresourceLine& s : r.subresources) {
    size_t slash = s.kind.find('/');
    size_t dot = s.kind.find('.', slash == std::string::npos ? 0 : slash);
    bool foreign = slash != std::string::npos;
    std::string group = foreign ? s.kind.substr(0, slash) : gv.group;
    std::string version = foreign ? s.kind.substr(slash + 1, dot - slash - 1) : gv.version;
    std::string kind = foreign ? s.kind.substr(dot + 1) : s.kind;
    auto type = type_index_.find(group + "/" + version + "." + kind);
    out << "{" << quoted(s.name) << ", " << quoted(group_name(group)) << ", " << quoted(version)
        << ", " << quoted(kind) << ", " << verb_bits(s.verbs) << ", "
        << (type == type_index_.end() ? "nullptr" : "kTypes + " + std::to_string(type->second))
        << ", " << foreign << "},\n";
  }
  out << "};\n";
}

void Generator::emit_resources(std::ostream& out) {
  struct Row {
    const GroupVersion* gv;
    const ResourceLine* line;
  };
  std::vector<Row> rows;
  for (const GroupVersion& gv : catalogue_) {
    for (const ResourceLine& r : gv.resources) rows.push_back({&gv, &r});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    auto key = [](const Row& r) {
      return std::make_tuple(r.gv->order, r.line->markers.count("preferred") == 0, r.gv->version,
                             r.line->plural);
    };
    return key(a) < key(b);
  });
  for (size_t i = 0; i < rows.size(); i++) emit_resource(out, *rows[i].gv, *rows[i].line, i);
  out << "constexpr ResourceInfo kResources[] = {\n";
  for (size_t i = 0; i < rows.size(); i++) {
    const GroupVersion& gv = *rows[i].gv;
    const ResourceLine& r = *rows[i].line;
    std::string n = std::to_string(i);
    auto span = [&](bool has, const char* name) { return has ? name + n : std::string("{}"); };
    auto singular = r.markers.find("singular");
    out << "{" << quoted(group_name(gv.group)) << ", " << quoted(gv.version) << ", "
        << quoted(r.plural) << ", " << quoted(singular == r.markers.end() ? "" : singular->second)
        << ", " << quoted(r.kind) << ", " << quoted(r.kind + "List") << ", " << r.namespaced << ", "
        << (r.markers.count("preferred") != 0) << ", " << !r.key_prefix.empty() << ", " << gv.order
        << ", " << verb_bits(r.verbs) << ", " << span(r.markers.count("short") != 0, "kShort")
        << ", " << span(r.markers.count("categories") != 0, "kCategories") << ", "
        << span(!r.subresources.empty(), "kSubresources") << ", " << quoted(r.storage_version)
        << ", " << quoted(r.storage_hash) << ", " << quoted(r.key_prefix) << ", kTypes + "
        << type_index_.at(gv.ref() + "." + r.kind) << "},\n";
  }
  out << "};\n";
}

std::string Generator::run() {
  add_structs();
  size_t structs = types_.size();
  for (size_t i = 0; i < structs; i++) {
    size_t first = fields_.size();
    const TypeRow row = types_[i];
    flatten(*row.gv, *row.line, -1);
    types_[i].first_field = first;
    types_[i].field_count = fields_.size() - first;
  }
  int any_type = type_of(catalogue_[0], "any", "", nullptr);
  int object_meta = type_index_.at("meta/v1.ObjectMeta");
  find_defaults();

  std::stringstream out;
  out << "// Generated from the schema catalogue.\n#include \"api/resource.h\"\n"
         "namespace knarr::api {\n";
  for (const TypeRow& t : types_) {
    if (!t.hook.empty()) out << "void " << t.hook << "(json::Value&);\n";
  }
  out << "namespace {\nextern const Type kTypes[" << types_.size() << "];\n";
  emit_fields(out);
  emit_types(out);
  emit_resources(out);
  out << "}  // namespace\nstd::span<const Type* const> all_types() { return kStructs; }\n"
      << "std::span<const ResourceInfo> builtin_resources() { return kResources; }\n"
      << "const Type& object_meta_type() { return kTypes[" << object_meta << "]; }\n"
      << "const Type& any_type() { return kTypes[" << any_type << "]; }\n"
      << "}  // namespace knarr::api\n";
  return out.str();
}

}  // namespace

}  // namespace knarr::api

int main(int argc, char** argv) {
  std::vector<knarr::api::GroupVersion> catalogue;
  for (int i = 2; i < argc; i++) catalogue.push_back(knarr::api::read_catalogue(argv[i]));
  if (catalogue.empty()) return 1;
  std::ofstream out(argv[1]);
  out << knarr::api::Generator(std::move(catalogue)).run();
  return out.good() ? 0 : 1;
}
