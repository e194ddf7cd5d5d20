// A json::Value -> canonical JSON text of a schema type: apiVersion and kind first as upstream
// stores them, schema order, Go's rules for what is written. Takes values in any order and with
// zero values, so code may change a decoded object freely and encode it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

std::string encode_json(const Type& type, const json::Value& value);
void append_json(std::string& out, const Type& type, const json::Value& value);

// Any JSON, in Go's number format.
void append_any_json(std::string& out, const json::Value& value);

// `json` with metadata.resourceVersion set to `revision` (inserted, replaced, or of 0
// removed), by splicing bytes.
// `json` must be canonical.
std::string with_resource_version(std::string_view json, int64_t revision);

}  // namespace knarr::api
