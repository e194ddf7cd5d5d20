// A patch that is laid over values (JSON, merge or strategic merge), read once. Pure.
#pragma once

#include <string>
#include <vector>

#include "api/codec/decode.h"
#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/client.h"

namespace knarr::server {

class PatchBody {
 public:
  static Result<PatchBody> read(client::PatchType type, std::string bytes);

  Result<json::Value> apply(const api::Type& kind, const json::Value& live) const;
  bool is_strategic() const { return type_ == client::PatchType::kStrategicMerge; }
  // Its duplicate fields.
  const std::vector<std::string>& strict_errors() const { return strict_errors_; }
  // The members of a patched object in the order in which upstream reads them.
  json::Value ordered(json::Value patched) const;
  // What errors show: the ordered object, or the patch itself where upstream never writes the
  // object down.
  std::string shown(const json::Value& patched) const;

 private:
  client::PatchType type_{};
  std::string bytes_;
  json::Value patch_;
  std::vector<std::string> strict_errors_;
};

}  // namespace knarr::server
