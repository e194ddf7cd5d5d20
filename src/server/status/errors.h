// The errors an API server answers with, in Kubernetes' own words. Their form as a Status object is
// api/status.h's. `resource` in names means the plural, qualified by its group: "deployments.apps".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"
#include "api/status.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::server {

using api::http_status;
using api::status_json;
using api::status_of;
using api::status_reason;

// "deployments.apps", "pods".
std::string qualified(std::string_view group, std::string_view resource);

Error not_found(std::string_view group, std::string_view resource, std::string_view name);
Error already_exists(std::string_view group, std::string_view resource, std::string_view name);
// "Operation cannot be fulfilled on pods \"x\": <why>".
Error conflict(std::string_view group, std::string_view resource, std::string_view name,
               std::string_view why);
inline constexpr std::string_view kObjectModified =
    "the object has been modified; please apply your changes to the latest version and try again";
// "pods \"x\" is forbidden: <why>".
Error forbidden(std::string_view group, std::string_view resource, std::string_view name,
                std::string_view why);
Error bad_request(std::string message);
// The answers of the front itself, whose details are an empty object.
Error unknown_path();
Error method_not_allowed();
Error not_acceptable(std::string message);
Error unsupported_media_type();
// "Internal error occurred: <why>".
Error internal_error(std::string why);
Error unauthorized();

// {"status":"Success"} with details of what was done to.
std::string success_json(std::string_view group, std::string_view resource, std::string_view name,
                         std::string_view uid);

}  // namespace knarr::server
