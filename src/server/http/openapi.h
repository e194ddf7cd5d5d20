// The smallest OpenAPI documents that kubectl needs to see that the server validates fields: kinds
// by group and version, and that their PATCH takes fieldValidation.
#pragma once

#include <string>
#include <string_view>

namespace knarr::server {

std::string openapi_v3_index_json();
// "api/v1" or "apis/apps/v1"; "" when there is none.
std::string openapi_v3_json(std::string_view group_version_path);
std::string openapi_v2_json();
// The same in gnostic's protobuf form (openapiv2.Document), which kubectl before 1.28 asks for.
std::string openapi_v2_protobuf();

}  // namespace knarr::server
