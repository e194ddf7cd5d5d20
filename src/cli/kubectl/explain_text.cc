#include "cli/kubectl/explain_text.h"

#include <algorithm>
#include <map>

#include "base/format.h"

namespace knarr::kubectl {

namespace {

using json::Value;

constexpr size_t kWidth = 76;

// Schemas by the last part of their references.
class Document {
 public:
  explicit Document(const Value& document) : schemas_(document["components"]["schemas"]) {}

  const Value* of_kind(const ExplainOptions& wanted) const {
    for (json::Member m : schemas_.members()) {
      for (const Value& kind : m.value["x-kubernetes-group-version-kind"].elements()) {
        if (kind["kind"].as_string() == wanted.kind && kind["group"].as_string() == wanted.group &&
            kind["version"].as_string() == wanted.version) {
          return &m.value;
        }
      }
    }
    return nullptr;
  }

  // What a reference leads to; the schema itself when it is none.
  const Value& resolve(const Value& schema) const {
    std::string_view name = reference(schema);
    return name.empty() ? schema : schemas_[name];
  }

  // The schema whose properties a field's members are: through lists and maps.
  const Value& inner(const Value& schema) const {
    const Value* at = &resolve(schema);
    for (int depth = 0; depth < 8; depth++) {
      if (at->has("items")) {
        at = &resolve((*at)["items"]);
      } else if (at->has("additionalProperties")) {
        at = &resolve((*at)["additionalProperties"]);
      } else {
        break;
      }
    }
    return *at;
  }

  // "string", "[]Container", "map[string]string".
  std::string type_text(const Value& schema) const {
    std::string_view name = reference(schema);
    if (!name.empty() && schemas_[name].has("properties")) {
      return std::string(name.substr(name.rfind('.') + 1));
    }
    const Value& target = resolve(schema);
    if (target.has("items")) return "[]" + type_text(target["items"]);
    if (target.has("additionalProperties")) {
      return "map[string]" + type_text(target["additionalProperties"]);
    }
    if (!name.empty()) return std::string(name.substr(name.rfind('.') + 1));
    std::string type = target["type"].text();
    return type.empty() ? "Object" : type == "object" ? "Object" : type;
  }

 private:
  static std::string_view reference(const Value& schema) {
    std::string_view ref = schema["$ref"].as_string();
    if (ref.empty()) ref = schema["allOf"][0]["$ref"].as_string();
    return ref.substr(ref.rfind('/') + 1);
  }

  const Value& schemas_;
};

std::string wrapped(std::string_view text, size_t indent) {
  std::string out;
  std::string line;
  auto flush = [&] {
    out += std::string(indent, ' ') + line + "\n";
    line.clear();
  };
  while (!text.empty()) {
    size_t space = text.find(' ');
    std::string_view word = text.substr(0, space);
    if (!line.empty() && line.size() + 1 + word.size() + indent > kWidth) flush();
    if (!line.empty()) line += ' ';
    line += word;
    text = space == std::string_view::npos ? "" : text.substr(space + 1);
  }
  flush();
  return out;
}

std::string values_text(const Value& schema) {
  std::string out;
  for (const Value& v : schema["enum"].elements()) {
    if (!out.empty()) out += ", ";
    out += v.is_string() ? v.text() : json::write(v);
  }
  return out;
}

bool required(const Value& schema, std::string_view name) {
  for (const Value& r : schema["required"].elements()) {
    if (r.as_string() == name) return true;
  }
  return false;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as types nest; one that holds itself ends at `above`
void add_fields(const Document& document, const Value& schema, const ExplainOptions& options,
                size_t indent, std::vector<const Value*>& above, std::string& out) {
  std::map<std::string_view, const Value*> sorted;
  for (json::Member m : schema["properties"].members()) sorted[m.key] = &m.value;
  for (const auto& [name, field] : sorted) {
    out += fmt::format("{}{}\t<{}>{}\n", std::string(indent, ' '), name, document.type_text(*field),
                       required(schema, name) ? " -required-" : "");
    if (std::string values = values_text(*field); !values.empty()) {
      out += fmt::format("{}enum: {}\n", std::string(indent, ' '), values);
    }
    if (!options.recursive) {
      out += wrapped((*field)["description"].as_string(), indent + 2) + "\n";
      continue;
    }
    const Value& inner = document.inner(*field);
    bool seen = std::find(above.begin(), above.end(), &inner) != above.end();
    if (seen || !inner.has("properties")) continue;
    above.push_back(&inner);
    add_fields(document, inner, options, indent + 2, above, out);
    above.pop_back();
  }
}

}  // namespace

Result<std::string> explain_text(const Value& json, const ExplainOptions& options) {
  Document document(json);
  const Value* schema = document.of_kind(options);
  if (schema == nullptr) {
    return make_error(Code::kNotFound, "couldn't find resource for \"" + options.kind + "\"");
  }
  const Value* field = nullptr;
  for (const std::string& name : options.fields) {
    field = document.inner(*schema)["properties"].find(name);
    if (field == nullptr) {
      return make_error(Code::kNotFound, "field \"" + name + "\" does not exist");
    }
    schema = field;
  }
  std::string out;
  if (!options.group.empty()) out += "GROUP:      " + options.group + "\n";
  out += fmt::format("KIND:       {}\nVERSION:    {}\n\n", options.kind, options.version);
  const Value& inner = document.inner(*schema);
  if (field != nullptr) {
    out += fmt::format("FIELD: {} <{}>\n", options.fields.back(), document.type_text(*field));
    for (const Value& v : (*field)["enum"].elements()) {
      if (&v == field->find("enum")->elements().begin()) out += "ENUM:\n";
      out += "    " + v.text() + "\n";
    }
    out += "\n";
  }
  out += "DESCRIPTION:\n";
  if (field != nullptr) out += wrapped((*field)["description"].as_string(), 4);
  if (&inner != field) out += wrapped(inner["description"].as_string(), 4);
  out += "\n";
  if (!inner.has("properties")) return out;
  out += "FIELDS:\n";
  std::vector<const Value*> above = {&inner};
  add_fields(document, inner, options, 2, above, out);
  return out;
}

}  // namespace knarr::kubectl
