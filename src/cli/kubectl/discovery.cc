#include "cli/kubectl/discovery.h"

#include <algorithm>
#include <optional>

#include "base/format.h"

namespace knarr::kubectl {

namespace {

constexpr char kAggregated[] =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

std::vector<std::string> texts(const json::Value& list) {
  std::vector<std::string> out;
  for (const json::Value& element : list.elements()) out.push_back(element.text());
  return out;
}

bool holds(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Whether the resource's group or version.group is what stands after the first dot.
bool in_group(const ApiResource& resource, std::string_view group) {
  return resource.group == group || resource.version + "." + resource.group == group ||
         (resource.group.empty() && resource.version == group);
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

bool ApiResource::can(std::string_view verb) const { return holds(verbs, verb); }

bool ApiResource::has_subresource(std::string_view name) const { return holds(subresources, name); }

std::string ApiResource::lower_kind() const {
  std::string name = lower_case(kind);
  return group.empty() ? name : name + "." + group;
}

std::string ApiResource::path(std::string_view ns, std::string_view name,
                              std::string_view subresource) const {
  std::string out = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (namespaced && !ns.empty()) out += "/namespaces/" + net::percent_encode_path(ns);
  out += "/" + plural;
  if (!name.empty()) out += "/" + net::percent_encode_path(name);
  if (!subresource.empty()) out += fmt::format("/{}", subresource);
  return out;
}

void Catalogue::add(ApiResource resource) {
  resource.preferred =
      std::none_of(resources_.begin(), resources_.end(), [&](const ApiResource& other) {
        return other.group == resource.group && other.plural == resource.plural;
      });
  if (resource.singular.empty()) resource.singular = lower_case(resource.kind);
  resources_.push_back(std::move(resource));
}

void Catalogue::add_aggregated(const json::Value& list) {
  for (const json::Value& group : list["items"].elements()) {
    for (const json::Value& version : group["versions"].elements()) {
      for (const json::Value& from : version["resources"].elements()) {
        ApiResource resource;
        resource.group = group["metadata"]["name"].text();
        resource.version = version["version"].text();
        resource.plural = from["resource"].text();
        resource.singular = from["singularResource"].text();
        resource.kind = from["responseKind"]["kind"].text();
        resource.short_names = texts(from["shortNames"]);
        resource.categories = texts(from["categories"]);
        resource.verbs = texts(from["verbs"]);
        resource.namespaced = from["scope"].as_string() == "Namespaced";
        for (const json::Value& sub : from["subresources"].elements()) {
          resource.subresources.push_back(sub["subresource"].text());
        }
        add(std::move(resource));
      }
    }
  }
}

void Catalogue::add_resource_list(const json::Value& list) {
  std::string api_version = list["groupVersion"].text();
  size_t slash = api_version.find('/');
  std::vector<ApiResource> found;
  for (const json::Value& from : list["resources"].elements()) {
    std::string name = from["name"].text();
    if (size_t at = name.find('/'); at != std::string::npos) {
      for (ApiResource& resource : found) {
        if (resource.plural == name.substr(0, at)) {
          resource.subresources.push_back(name.substr(at + 1));
        }
      }
      continue;
    }
    ApiResource resource;
    resource.group = slash == std::string::npos ? "" : api_version.substr(0, slash);
    resource.version = slash == std::string::npos ? api_version : api_version.substr(slash + 1);
    resource.plural = name;
    resource.singular = from["singularName"].text();
    resource.kind = from["kind"].text();
    resource.short_names = texts(from["shortNames"]);
    resource.categories = texts(from["categories"]);
    resource.verbs = texts(from["verbs"]);
    resource.namespaced = from["namespaced"].as_bool();
    found.push_back(std::move(resource));
  }
  for (ApiResource& resource : found) add(std::move(resource));
}

const ApiResource* Catalogue::find(std::string_view word) const {
  std::string lower = lower_case(word);
  auto search = [&](std::string_view name, std::optional<std::string_view> group) {
    auto matches = [&](auto&& same) -> const ApiResource* {
      for (const ApiResource& resource : resources_) {
        bool here = group ? in_group(resource, *group) : resource.preferred;
        if (here && same(resource)) return &resource;
      }
      return nullptr;
    };
    const ApiResource* found =
        matches([&](const ApiResource& r) { return r.plural == name || r.singular == name; });
    if (found == nullptr) {
      found = matches([&](const ApiResource& r) { return holds(r.short_names, name); });
    }
    if (found == nullptr) {
      found = matches([&](const ApiResource& r) { return lower_case(r.kind) == name; });
    }
    return found;
  };
  if (const ApiResource* found = search(lower, std::nullopt)) return found;
  size_t dot = lower.find('.');
  if (dot == std::string::npos) return nullptr;
  std::string_view text = lower;
  return search(text.substr(0, dot), text.substr(dot + 1));
}

const ApiResource* Catalogue::find_kind(std::string_view api_version, std::string_view kind) const {
  for (const ApiResource& resource : resources_) {
    if (resource.kind == kind && resource.api_version() == api_version) return &resource;
  }
  return nullptr;
}

Result<std::vector<const ApiResource*>> Catalogue::resolve(std::string_view word) const {
  if (const ApiResource* one = find(word)) return std::vector<const ApiResource*>{one};
  std::vector<const ApiResource*> members;
  for (const ApiResource& resource : resources_) {
    if (resource.preferred && holds(resource.categories, word)) members.push_back(&resource);
  }
  if (!members.empty()) return members;
  return make_error(Code::kBadRequest,
                    fmt::format("the server doesn't have a resource type \"{}\"", word));
}

Result<Catalogue> discover(ApiClient& api) {
  Catalogue catalogue;
  ApiAsk ask;
  ask.path = "/api";
  ask.accept = kAggregated;
  TRY_ASSIGN(json::Value core, api.call(ask));
  ask.path = "/apis";
  TRY_ASSIGN(json::Value groups, api.call(ask));
  bool aggregated = core["kind"].as_string() == "APIGroupDiscoveryList";
  if (aggregated) {
    catalogue.add_aggregated(core);
    catalogue.add_aggregated(groups);
    return catalogue;
  }
  std::vector<std::string> paths;
  for (const json::Value& version : core["versions"].elements()) {
    paths.push_back("/api/" + version.text());
  }
  for (const json::Value& group : groups["groups"].elements()) {
    for (const json::Value& version : group["versions"].elements()) {
      paths.push_back("/apis/" + version["groupVersion"].text());
    }
  }
  ask.accept = "application/json";
  for (const std::string& path : paths) {
    ask.path = path;
    auto list = api.call(ask);
    if (list.ok()) catalogue.add_resource_list(*list);
  }
  return catalogue;
}

}  // namespace knarr::kubectl
