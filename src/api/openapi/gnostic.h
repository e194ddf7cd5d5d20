// A version 2 document in protobuf: gnostic's openapi.v2.Document, which kubectl and Helm ask for
// since it is quicker to read than the JSON. Takes the parts of the JSON document one by one. Pure.
// Ref: https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace knarr::api {

class GnosticDocument {
 public:
  explicit GnosticDocument(std::string_view version) : version_(version) {}
  void add_path(std::string_view path, const json::Value& item);
  void add_parameter(std::string_view name, const json::Value& parameter);
  void add_definition(std::string_view name, const json::Value& schema);
  std::string finish() &&;

 private:
  std::string version_;
  std::string paths_;
  std::string parameters_;
  std::string definitions_;
};

}  // namespace knarr::api
