// Values as the messages of kube-apiserver show them: it validates types of its own ("internal"
// ones), which print as JSON with Go's names, every member, and null for what is not set.
#pragma once

#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

// `value` of the served type, so shown. Types of meta/v1 print as they are served.
json::Value internal_value(const Type& type, const json::Value& value);
// The same, by the type's name; the value itself when the catalogue has no such type.
json::Value internal_value(std::string_view group, std::string_view version, std::string_view name,
                           const json::Value& value);

}  // namespace knarr::api
