// The page `explain` prints: a kind, or one of its fields, from an OpenAPI version 3 document.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct ExplainOptions {
  std::string group;
  std::string version;
  std::string kind;
  std::vector<std::string> fields;  // below the kind
  bool recursive = false;           // names and types of all that lies below, without their text
};

// The error is kubectl's: `field "x" does not exist`.
Result<std::string> explain_text(const json::Value& document, const ExplainOptions& options);

}  // namespace knarr::kubectl
