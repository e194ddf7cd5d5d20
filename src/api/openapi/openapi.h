// OpenAPI documents of a server's resources, made from the schema catalogue: version 3 (one
// document a group-version) and version 2 (one for all, as JSON and in gnostic's protobuf form).
// They are made on request, definition by definition, and kept by nobody: no memory is held for
// them. Pure.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"

namespace knarr::api {

struct OpenApiSource {
  std::span<const ResourceInfo> resources;
  // DELETE answers with the object, not with a Status.
  std::function<bool(const ResourceInfo&)> returns_deleted;
};

// The names of the version 3 documents, sorted: "api/v1", "apis/apps", "apis/apps/v1", "version".
std::vector<std::string> openapi_v3_names(const OpenApiSource& source);
// "" when there is no such document.
std::string openapi_v3(const OpenApiSource& source, std::string_view name);
std::string openapi_v2(const OpenApiSource& source);
std::string openapi_v2_protobuf(const OpenApiSource& source);

// Published by OpenAPI and offered by discovery.
bool published(const ResourceInfo& resource);

}  // namespace knarr::api
