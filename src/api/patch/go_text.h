// Values as Go prints them with %v: map[data:map[k:2]], [a b], <nil>. Error messages hold them.
#pragma once

#include <string>

#include "base/json.h"

namespace knarr::api {

std::string go_text(const json::Value& value);

// "array", "string", "bool", "number", "object": how encoding/json names what it found.
const char* json_word(const json::Value& value);

// "json: cannot unmarshal array into Go value of type map[string]interface {}"
std::string not_a_map_text(const json::Value& value);

}  // namespace knarr::api
