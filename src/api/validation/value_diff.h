// The difference of two values as messages show it: their JSON, a member a line, compared line by
// line in the unified format with three lines around each change.
#pragma once

#include <string>

#include "base/json.h"

namespace knarr::api {

std::string value_diff(const json::Value& before, const json::Value& after);

}  // namespace knarr::api
