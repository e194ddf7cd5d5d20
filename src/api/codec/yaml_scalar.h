// What a YAML 1.1 scalar means, as go-yaml v2 resolves it.
#pragma once

#include <string>

#include "base/json.h"

namespace knarr::api {

// `tag` as yaml-cpp reports it: "?" plain, "!" quoted, else the tag.
json::Value yaml_scalar(const std::string& tag, const std::string& text);

// Unquoted, this text is no string to readers of YAML 1.1: a number, a truth, nothing, a date, or
// a time in base 60.
bool yaml_reads_otherwise(std::string_view text);

// A plain scalar of this text would not read back as the string it is.
bool yaml_needs_quotes(std::string_view text);

}  // namespace knarr::api
