// The operations a server offers, as OpenAPI groups them: by path, each with its name, parameters,
// body and answers. One model for both versions of the documents. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/openapi/openapi.h"
#include "api/openapi/parameters.h"

namespace knarr::api {

// What an answer holds.
struct Content {
  const Type* type = nullptr;     // null: plain text...
  bool none = false;              // ...or nothing, as of 401...
  std::string_view special = {};  // ...or a definition that is no type of the catalogue
};

struct Answers {
  int code = 200;
  Content content;
};

struct Operation {
  std::string method;  // "get", "post", ...
  std::string id;
  std::string description;
  std::string tag;
  std::string action;  // x-kubernetes-action; "" for discovery
  // Of x-kubernetes-group-version-kind; an empty kind: none.
  std::string_view group, version, kind;
  std::vector<Parameter> parameters;
  const Type* body = nullptr;
  bool body_required = true;
  std::vector<std::string_view> consumes;
  std::vector<std::string_view> produces;
  std::vector<Answers> answers;
};

struct PathItem {
  std::string path;
  std::vector<Operation> operations;
};

// Sorted by path. `group` with an empty version: the document of the group itself.
std::vector<PathItem> operations_of(const OpenApiSource& source, std::string_view group,
                                    std::string_view version);
// Of "api", "apis", "version", ".well-known/openid-configuration", "openid/v1/jwks"; and of a
// group: "apis/apps". Empty for other names.
std::vector<PathItem> discovery_operations(const OpenApiSource& source, std::string_view name);

}  // namespace knarr::api
