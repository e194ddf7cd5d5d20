// YAML in tests, short.
#pragma once

#include <string_view>

#include "api/codec/yaml.h"
#include "base/json.h"

inline knarr::json::Value yaml(std::string_view text) {
  return knarr::api::parse_yaml(text).value().value;
}
