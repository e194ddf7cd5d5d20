// Operations as OpenAPI writes them, in either version. What all operations of a path have in
// common is said once, at the path. Pure.
#pragma once

#include "api/openapi/definitions.h"
#include "api/openapi/operations.h"
#include "base/json.h"

namespace knarr::api {

// The value of a path; what it refers to joins the definitions.
json::Value render_path(Dialect dialect, const PathItem& item, Definitions& definitions);
// The "parameters" of a version 2 document.
json::Value render_shared_parameters(Definitions& definitions);

}  // namespace knarr::api
