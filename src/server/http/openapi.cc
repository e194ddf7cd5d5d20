#include "server/http/openapi.h"

#include <vector>

#include "api/resource.h"
#include "base/format.h"
#include "base/json.h"

namespace knarr::server {
namespace {

using json::Value;

std::string base_path(const api::ResourceInfo& r) {
  return r.group.empty() ? fmt::format("api/{}", r.version)
                         : fmt::format("apis/{}/{}", r.group, r.version);
}

std::string object_path(const api::ResourceInfo& r) {
  return fmt::format("/{}/{}{}/{{name}}", base_path(r),
                     r.namespaced ? "namespaces/{namespace}/" : "", r.plural);
}

Value kind_of(const api::ResourceInfo& r) {
  return Value::object({{"group", r.group}, {"version", r.version}, {"kind", r.kind}});
}

Value query_parameter(std::string_view name, bool v3) {
  Value p = Value::object({{"name", name}, {"in", "query"}});
  if (v3) {
    p.set("schema", Value::object({{"type", "string"}, {"uniqueItems", true}}));
  } else {
    p.set("type", "string");
    p.set("uniqueItems", true);
  }
  return p;
}

Value patch_operation(const api::ResourceInfo& r, bool v3) {
  Value parameters = Value::array();
  for (const char* name : {"dryRun", "fieldManager", "fieldValidation"}) {
    parameters.push_back(query_parameter(name, v3));
  }
  return Value::object(
      {{"parameters", std::move(parameters)},
       {"responses", Value::object({{"200", Value::object({{"description", "OK"}})}})},
       {"x-kubernetes-action", "patch"},
       {"x-kubernetes-group-version-kind", kind_of(r)}});
}

std::string schema_name(const api::ResourceInfo& r) {
  std::string_view group = r.group.empty() ? "core" : r.group.substr(0, r.group.find('.'));
  return fmt::format("io.k8s.api.{}.{}.{}", group, r.version, r.kind);
}

Value schema_of(const api::ResourceInfo& r) {
  return Value::object({{"type", "object"},
                        {"x-kubernetes-group-version-kind", Value::array({kind_of(r)})},
                        {"x-kubernetes-preserve-unknown-fields", true}});
}

Value info() { return Value::object({{"title", "Kubernetes"}, {"version", "v1.36.2"}}); }

void put_bytes(std::string& out, int number, std::string_view bytes) {
  auto varint = [&out](size_t v) {
    for (; v >= 128; v >>= 7) out += static_cast<char>(v | 128);
    out += static_cast<char>(v);
  };
  varint(static_cast<size_t>(number) << 3 | 2);
  varint(bytes.size());
  out.append(bytes);
}

std::string message(std::initializer_list<std::pair<int, std::string_view>> fields) {
  std::string out;
  for (const auto& [number, bytes] : fields) put_bytes(out, number, bytes);
  return out;
}

// Operation: parameters = 8, vendor_extension = 13.
std::string patch_message(const api::ResourceInfo& r) {
  std::string out;
  for (const char* name : {"dryRun", "fieldManager", "fieldValidation"}) {
    std::string query = message({{2, "query"}, {4, name}, {6, "string"}});
    std::string other = message({{3, query}});
    std::string parameter = message({{2, other}});
    put_bytes(out, 8, message({{1, parameter}}));
  }
  std::string yaml =
      fmt::format("group: \"{}\"\nkind: {}\nversion: {}\n", r.group, r.kind, r.version);
  put_bytes(out, 13, message({{1, "x-kubernetes-group-version-kind"}, {2, message({{2, yaml}})}}));
  return out;
}

bool patched(const api::ResourceInfo& r) {
  return r.group != "metrics.k8s.io" && r.can(api::kVerbPatch);
}

}  // namespace

std::string openapi_v3_index_json() {
  Value paths = Value::object();
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (r.group == "metrics.k8s.io") continue;
    std::string path = base_path(r);
    if (paths.has(path)) continue;
    paths.set(path, Value::object({{"serverRelativeURL", "/openapi/v3/" + path}}));
  }
  return json::write(Value::object({{"paths", std::move(paths)}}));
}

std::string openapi_v3_json(std::string_view path) {
  Value paths = Value::object();
  Value schemas = Value::object();
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (r.group == "metrics.k8s.io" || base_path(r) != path) continue;
    schemas.set(schema_name(r), schema_of(r));
    if (!patched(r)) continue;
    paths.set(object_path(r), Value::object({{"patch", patch_operation(r, true)}}));
  }
  if (schemas.empty()) return "";
  return json::write(
      Value::object({{"openapi", "3.0.0"},
                     {"info", info()},
                     {"paths", std::move(paths)},
                     {"components", Value::object({{"schemas", std::move(schemas)}})}}));
}

std::string openapi_v2_json() {
  Value paths = Value::object();
  Value definitions = Value::object();
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (r.group == "metrics.k8s.io") continue;
    definitions.set(schema_name(r), schema_of(r));
    if (!patched(r)) continue;
    paths.set(object_path(r), Value::object({{"patch", patch_operation(r, false)}}));
  }
  return json::write(Value::object({{"swagger", "2.0"},
                                    {"info", info()},
                                    {"paths", std::move(paths)},
                                    {"definitions", std::move(definitions)}}));
}

std::string openapi_v2_protobuf() {
  std::string paths;
  for (const api::ResourceInfo& r : api::builtin_resources()) {
    if (!patched(r)) continue;
    std::string item = message({{8, patch_message(r)}});
    put_bytes(paths, 2, message({{1, object_path(r)}, {2, item}}));
  }
  std::string info = message({{1, "Kubernetes"}, {2, "v1.36.2"}});
  return message({{1, "2.0"}, {2, info}, {8, paths}, {9, ""}});
}

}  // namespace knarr::server
