// What Kubernetes lets pass but warns of: fields that are deprecated, ignored or likely mistakes.
// Clients get the sentences as Warning headers. Objects are whole, defaulted and valid.
#pragma once

#include <string>
#include <vector>

#include "api/validation/validation.h"

namespace knarr::api {

// `old` is null for new objects.
std::vector<std::string> warnings_of(const ValidationTarget& target, const json::Value& object,
                                     const json::Value& old);
// The same for writes of /status.
std::vector<std::string> status_warnings(const ValidationTarget& target, const json::Value& object);

}  // namespace knarr::api
