// What operations take in path and query, by operation. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/schema/schema.h"

namespace knarr::api {

struct Parameter {
  std::string_view name;
  std::string_view in;    // "path", "query"
  std::string_view type;  // "string", "integer", "boolean"
  std::string description;
  // The name under which a version 2 document shares it; "": it stands at each operation.
  std::string_view shared;
  bool required() const { return in == "path"; }
};

// "namespace" and "name" of a path, and "pretty", which everything takes.
Parameter path_parameter(std::string_view name, std::string_view kind);
Parameter pretty_parameter();

// Query parameters of one verb: "create", "update", "patch", "delete", "deletecollection", "list",
// "watch"; others have none.
std::vector<Parameter> verb_parameters(std::string_view verb);

// Fields of an options type ("PodExecOptions") as query parameters.
std::vector<Parameter> option_parameters(const Type& options);

// Every parameter that version 2 documents share.
std::vector<Parameter> shared_parameters();

}  // namespace knarr::api
