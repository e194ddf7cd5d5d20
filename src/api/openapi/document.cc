// Whole documents: paths, then the definitions they turned out to need, one after the other into
// the text, so that no tree of the whole is ever in memory.
#include <set>

#include "api/openapi/gnostic.h"
#include "api/openapi/names.h"
#include "api/openapi/openapi.h"
#include "api/openapi/render.h"

namespace knarr::api {
namespace {

using json::Value;

constexpr std::string_view kVersion = "1.36";

Value info() { return Value::object({{"title", "Kubernetes"}, {"version", kVersion}}); }

Value bearer_token() {
  return Value::object(
      {{"BearerToken", Value::object({{"description", "Bearer Token authentication"},
                                      {"in", "header"},
                                      {"name", "authorization"},
                                      {"type", "apiKey"}})}});
}

Value security() { return Value::array({Value::object({{"BearerToken", Value::array()}})}); }

// "api/v1" -> "", "v1"; "apis/apps/v1" -> "apps", "v1"; false when it is neither.
bool split_name(std::string_view name, std::string_view& group, std::string_view& version) {
  if (name.starts_with("api/")) {
    group = "";
    version = name.substr(4);
    return true;
  }
  if (!name.starts_with("apis/")) return false;
  name.remove_prefix(5);
  size_t slash = name.find('/');
  if (slash == std::string_view::npos) return false;
  group = name.substr(0, slash);
  version = name.substr(slash + 1);
  return true;
}

std::string document_name(const ResourceInfo& r) {
  return group_version_path(r.group, r.version).substr(1);
}

class Members {
 public:
  explicit Members(std::string& out) : out_(out) {}
  void add(std::string_view key, const Value& value) {
    if (!first_) out_ += ',';
    first_ = false;
    json::append_quoted(out_, key);
    out_ += ':';
    json::append(out_, value);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

// Every path of the server, document by document.
void each_path(const OpenApiSource& source, const std::function<void(const PathItem&)>& fn) {
  for (const std::string& name : openapi_v3_names(source)) {
    std::string_view group;
    std::string_view version;
    std::vector<PathItem> items = split_name(name, group, version)
                                      ? operations_of(source, group, version)
                                      : discovery_operations(source, name);
    for (const PathItem& item : items) fn(item);
  }
}

std::vector<std::pair<std::string, std::string>> group_versions(const OpenApiSource& source) {
  std::set<std::pair<std::string, std::string>> out;
  for (const ResourceInfo& r : source.resources) {
    if (published(r)) out.emplace(r.group, r.version);
  }
  return {out.begin(), out.end()};
}

}  // namespace

bool published(const ResourceInfo& resource) { return resource.group != "metrics.k8s.io"; }

std::vector<std::string> openapi_v3_names(const OpenApiSource& source) {
  std::set<std::string> names = {".well-known/openid-configuration", "api", "apis",
                                 "openid/v1/jwks", "version"};
  for (const ResourceInfo& r : source.resources) {
    if (!published(r)) continue;
    names.insert(document_name(r));
    if (!r.group.empty()) names.insert("apis/" + std::string(r.group));
  }
  return {names.begin(), names.end()};
}

std::string openapi_v3(const OpenApiSource& source, std::string_view name) {
  std::string_view group;
  std::string_view version;
  bool resources = split_name(name, group, version);
  std::vector<PathItem> items =
      resources ? operations_of(source, group, version) : discovery_operations(source, name);
  if (items.empty()) return "";
  Definitions definitions(Dialect::kV3, {{std::string(group), std::string(version)}});
  std::string paths;
  Members path_members(paths);
  for (const PathItem& item : items) {
    path_members.add(item.path, render_path(Dialect::kV3, item, definitions));
  }
  std::string out = "{\"components\":{\"schemas\":{";
  Members schemas(out);
  definitions.each([&](const std::string& key, const Value& schema) { schemas.add(key, schema); });
  out += "},\"securitySchemes\":";
  json::append(out, bearer_token());
  out += "},\"info\":";
  json::append(out, info());
  out += ",\"openapi\":\"3.0.0\",\"paths\":{" + paths + "},\"security\":";
  json::append(out, security());
  return out + "}";
}

std::string openapi_v2(const OpenApiSource& source) {
  Definitions definitions(Dialect::kV2, group_versions(source));
  std::string paths;
  Members path_members(paths);
  each_path(source, [&](const PathItem& item) {
    path_members.add(item.path, render_path(Dialect::kV2, item, definitions));
  });
  Value parameters = render_shared_parameters(definitions);
  std::string out = "{\"definitions\":{";
  Members members(out);
  definitions.each([&](const std::string& key, const Value& schema) { members.add(key, schema); });
  out += "},\"info\":";
  json::append(out, info());
  out += ",\"parameters\":";
  json::append(out, parameters);
  out += ",\"paths\":{" + paths + "},\"security\":";
  json::append(out, security());
  out += ",\"securityDefinitions\":";
  json::append(out, bearer_token());
  return out + ",\"swagger\":\"2.0\"}";
}

std::string openapi_v2_protobuf(const OpenApiSource& source) {
  Definitions definitions(Dialect::kV2, group_versions(source));
  GnosticDocument document(kVersion);
  each_path(source, [&](const PathItem& item) {
    document.add_path(item.path, render_path(Dialect::kV2, item, definitions));
  });
  Value parameters = render_shared_parameters(definitions);
  for (json::Member m : parameters.members()) document.add_parameter(m.key, m.value);
  definitions.each(
      [&](const std::string& key, const Value& schema) { document.add_definition(key, schema); });
  return std::move(document).finish();
}

}  // namespace knarr::api
