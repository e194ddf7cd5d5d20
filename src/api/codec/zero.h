// Go's zero values and the rules of omitempty, by type: what decode and encode share.
#pragma once

#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

// A Go struct in JSON terms: omitempty never drops it.
bool is_go_struct(const Type& type);

// The field is written even when it was never set.
bool always_written(const Field& field);

// What is written for a field, or list or map element, that was never set.
json::Value zero_value(const Field& field);
json::Value zero_element(const Type& type);

// A value that omitempty drops, or that a list or map without omitempty writes as null.
bool is_zero(const Type& type, const json::Value& value);

}  // namespace knarr::api
