// Whether a configuration has the shape of its type, as server-side apply asks before it merges:
// fields that the type declares, values of their kinds, elements that can be told apart. Stricter
// than decoding, and in the words of structured-merge-diff. Pure; any thread.
#pragma once

#include <string>

#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

// "" when it has; else ".spec.foo: field not declared in schema", or several such lines.
std::string typed_problem(const Type& type, const json::Value& config);

}  // namespace knarr::api
