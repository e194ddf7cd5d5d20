// JSONPath templates as kubectl takes them with -o jsonpath: text with {expressions} in it, ranges,
// filters, slices, unions and recursive descent. What is missing reads as nothing. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct PathNode;

class JsonPath {
 public:
  static Result<JsonPath> parse(std::string_view text);
  // One path, with or without braces, leading dot or "$": "status.phase", "{.status.phase}".
  static Result<JsonPath> parse_relaxed(std::string_view text);

  std::string render(const json::Value& root) const;
  // What the expressions select, without text and ranges.
  std::vector<json::Value> find(const json::Value& root) const;

 private:
  std::vector<std::shared_ptr<const PathNode>> nodes_;
};

// A selected value as text: strings bare, the rest as JSON.
std::string value_text(const json::Value& value);

}  // namespace knarr::kubectl
