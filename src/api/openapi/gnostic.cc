#include "api/openapi/gnostic.h"

namespace knarr::api {
namespace {

using json::Value;

// A message under way: fields by number. Empty texts and false are not written, as in proto3.
class Message {
 public:
  Message& text(int number, std::string_view bytes) {
    return bytes.empty() ? *this : bytes_field(number, bytes);
  }
  Message& message(int number, const Message& inner) { return bytes_field(number, inner.out_); }
  Message& flag(int number, bool value) {
    if (!value) return *this;
    varint(static_cast<uint64_t>(number) << 3);
    varint(1);
    return *this;
  }
  Message& texts(int number, const Value& list) {
    for (const Value& v : list.elements()) bytes_field(number, v.as_string());
    return *this;
  }
  const std::string& bytes() const { return out_; }

 private:
  void varint(uint64_t v) {
    for (; v >= 128; v >>= 7) out_ += static_cast<char>(v | 128);
    out_ += static_cast<char>(v);
  }
  Message& bytes_field(int number, std::string_view bytes) {
    varint(static_cast<uint64_t>(number) << 3 | 2);
    varint(bytes.size());
    out_.append(bytes);
    return *this;
  }

  std::string out_;
};

// Any: JSON is YAML as well.
Message any(const Value& v) { return std::move(Message().text(2, json::write(v))); }

Message named(std::string_view name, const Message& value) {
  return std::move(Message().text(1, name).message(2, value));
}

void extensions(Message& out, int number, const Value& v) {
  for (json::Member m : v.members()) {
    if (m.key.starts_with("x-")) out.message(number, named(m.key, any(m.value)));
  }
}

// NOLINTNEXTLINE(misc-no-recursion): schemas nest as their types do
Message schema_message(const Value& v) {
  Message out;
  out.text(1, v["$ref"].as_string());
  out.text(2, v["format"].as_string());
  out.text(4, v["description"].as_string());
  if (v.has("default")) out.message(5, any(v["default"]));
  out.texts(19, v["required"]);
  for (const Value& one : v["enum"].elements()) out.message(20, any(one));
  if (v.has("additionalProperties")) {
    out.message(21, std::move(Message().message(1, schema_message(v["additionalProperties"]))));
  }
  if (v.has("type")) out.message(22, std::move(Message().text(1, v["type"].as_string())));
  if (v.has("items")) out.message(23, std::move(Message().message(1, schema_message(v["items"]))));
  if (v.has("properties")) {
    Message properties;
    for (json::Member m : v["properties"].members()) {
      properties.message(1, named(m.key, schema_message(m.value)));
    }
    out.message(25, properties);
  }
  extensions(out, 31, v);
  return out;
}

// Parameter: a body, or one in path or query, whose messages have their fields in different places.
Message parameter_message(const Value& v) {
  std::string_view in = v["in"].as_string();
  if (in == "body") {
    Message body;
    body.text(1, v["description"].as_string()).text(2, v["name"].as_string()).text(3, in);
    body.flag(4, v["required"].as_bool()).message(5, schema_message(v["schema"]));
    return std::move(Message().message(1, body));
  }
  bool path = in == "path";
  Message plain;
  plain.flag(1, v["required"].as_bool()).text(2, in).text(3, v["description"].as_string());
  plain.text(4, v["name"].as_string()).text(path ? 5 : 6, v["type"].as_string());
  plain.flag(path ? 19 : 20, v["uniqueItems"].as_bool());
  return std::move(Message().message(2, std::move(Message().message(path ? 4 : 3, plain))));
}

Message parameter_item(const Value& v) {
  if (v.has("$ref")) {
    return std::move(Message().message(2, std::move(Message().text(1, v["$ref"].as_string()))));
  }
  return std::move(Message().message(1, parameter_message(v)));
}

Message answers_message(const Value& v) {
  Message out;
  for (json::Member m : v.members()) {
    Message answer;
    answer.text(1, m.value["description"].as_string());
    if (m.value.has("schema")) {
      answer.message(2, std::move(Message().message(1, schema_message(m.value["schema"]))));
    }
    out.message(1, named(m.key, std::move(Message().message(1, answer))));
  }
  return out;
}

Message operation_message(const Value& v) {
  Message out;
  out.texts(1, v["tags"]).text(3, v["description"].as_string());
  out.text(5, v["operationId"].as_string()).texts(6, v["produces"]).texts(7, v["consumes"]);
  for (const Value& p : v["parameters"].elements()) out.message(8, parameter_item(p));
  out.message(9, answers_message(v["responses"])).texts(10, v["schemes"]);
  extensions(out, 13, v);
  return out;
}

Message security_messages() {
  Message key;
  key.text(1, "apiKey").text(2, "authorization").text(3, "header");
  key.text(4, "Bearer Token authentication");
  return named("BearerToken", std::move(Message().message(2, key)));
}

}  // namespace

void GnosticDocument::add_path(std::string_view path, const Value& item) {
  Message out;
  constexpr std::pair<const char*, int> kMethods[] = {{"get", 2},    {"put", 3},     {"post", 4},
                                                      {"delete", 5}, {"options", 6}, {"head", 7},
                                                      {"patch", 8}};
  for (const auto& [method, number] : kMethods) {
    if (item.has(method)) out.message(number, operation_message(item[method]));
  }
  for (const Value& p : item["parameters"].elements()) out.message(9, parameter_item(p));
  paths_ += std::move(Message().message(2, named(path, out))).bytes();
}

void GnosticDocument::add_parameter(std::string_view name, const Value& parameter) {
  parameters_ += std::move(Message().message(1, named(name, parameter_message(parameter)))).bytes();
}

void GnosticDocument::add_definition(std::string_view name, const Value& schema) {
  definitions_ += std::move(Message().message(1, named(name, schema_message(schema)))).bytes();
}

std::string GnosticDocument::finish() && {
  Message out;
  out.text(1, "2.0");
  out.message(2, std::move(Message().text(1, "Kubernetes").text(2, version_)));
  out.text(8, paths_).text(9, definitions_).text(10, parameters_);
  out.message(12, std::move(Message().message(1, named("BearerToken", Message()))));
  out.message(13, std::move(Message().message(1, security_messages())));
  return out.bytes();
}

}  // namespace knarr::api
