// JSON as Go's encoding/json writes maps: keys sorted, <, > and & escaped. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace knarr::kubectl {

std::string sorted_json(const json::Value& value);
// With four spaces a level, and a newline at the end: kubectl's -o json.
std::string indented_json(const json::Value& value);

// The members of an object, by key.
std::vector<json::Member> sorted_members(const json::Value& object);

}  // namespace knarr::kubectl
