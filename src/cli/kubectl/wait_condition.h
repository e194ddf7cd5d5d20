// What `kubectl wait --for` asks for. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/kubectl/jsonpath.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct WaitCondition {
  enum class Kind { kDelete, kCreate, kCondition, kJsonPath };
  Kind kind = Kind::kCondition;
  std::string type;   // of kCondition
  std::string value;  // wanted; of kJsonPath empty: any
  JsonPath path;      // of kJsonPath

  static Result<WaitCondition> parse(const std::string& text);
  // Of the object as it is now; null: there is none.
  bool is_met(const json::Value& object) const;
  bool waits_for_creation() const { return kind == Kind::kCreate; }
};

}  // namespace knarr::kubectl
