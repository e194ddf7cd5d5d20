#include "server/manifests/manifest.h"

#include "api/codec/yaml.h"
#include "api/resource.h"
#include "base/format.h"

namespace knarr::server {

namespace {

Result<Manifest> read_one(const json::Value& value) {
  std::string kind = value["kind"].text();
  std::string api_version = value["apiVersion"].text();
  std::string name = value["metadata"]["name"].text();
  if (kind.empty() || api_version.empty()) {
    return make_error(Code::kBadRequest, "an object without apiVersion or kind");
  }
  if (name.empty()) return make_error(Code::kBadRequest, fmt::format("a {} without a name", kind));
  std::string_view group, version;
  const api::ResourceInfo* resource = nullptr;
  if (api::split_api_version(api_version, group, version)) {
    resource = api::find_kind(group, version, kind);
  }
  if (resource == nullptr) {
    return make_error(Code::kNotFound, fmt::format("no matches for kind \"{}\" in version \"{}\"",
                                                   kind, api_version));
  }
  Manifest manifest;
  manifest.object = value;
  manifest.ref = {std::string(resource->group),
                  std::string(resource->version),
                  std::string(resource->plural),
                  {"", name}};
  if (resource->namespaced) {
    std::string ns = value["metadata"]["namespace"].text();
    manifest.ref.name.ns = ns.empty() ? "default" : ns;
    manifest.object.member("metadata").set("namespace", manifest.ref.name.ns);
  }
  return manifest;
}

Result<void> read_into(std::vector<Manifest>& out, const json::Value& value) {
  bool list = value["kind"].as_string().ends_with("List") && value["items"].is_array();
  if (!list) {
    TRY_ASSIGN(Manifest manifest, read_one(value));
    out.push_back(std::move(manifest));
    return {};
  }
  for (const json::Value& item : value["items"].elements()) TRY(read_into(out, item));
  return {};
}

}  // namespace

std::string ManifestRef::text() const {
  return fmt::format("{}{}{} {}", resource, group.empty() ? "" : ".", group, name.text());
}

Result<std::vector<Manifest>> read_manifests(std::string_view text) {
  TRY_ASSIGN(std::vector<json::Value> documents, api::parse_yaml_stream(text));
  std::vector<Manifest> manifests;
  for (size_t i = 0; i < documents.size(); i++) {
    Result<void> read = read_into(manifests, documents[i]);
    if (!read.ok()) {
      return make_error(read.error().code,
                        fmt::format("document {}: {}", i + 1, read.error().message));
    }
  }
  return manifests;
}

}  // namespace knarr::server
