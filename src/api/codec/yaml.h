// YAML as Kubernetes reads it (YAML 1.1 scalars: yes, on, 0o17 and 1_000 mean what they mean to
// sigs.k8s.io/yaml), and as kubectl prints it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

struct YamlDocument {
  json::Value value;
  // `line 6: key "a" already set in map`: of a repeated key the last value wins.
  std::vector<std::string> duplicate_keys;
};

// One document (the first). Errors are kBadRequest: "yaml: line 3: did not find expected ...".
Result<YamlDocument> parse_yaml(std::string_view text);

// Every document of a stream separated by "---" lines; empty ones are left out.
Result<std::vector<json::Value>> parse_yaml_stream(std::string_view text);

// Block style, keys sorted, two spaces, strings quoted where they would read as something else.
std::string write_yaml(const json::Value& value);

}  // namespace knarr::api
