// Schemas of types, in the dialect of OpenAPI 2 or 3, and the set of those a document needs: what
// its operations name, and all that these lead to. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

enum class Dialect { kV2, kV3 };

class Definitions {
 public:
  // `groups`: the group-versions whose options and watch events the document describes.
  Definitions(Dialect dialect, std::vector<std::pair<std::string, std::string>> groups)
      : dialect_(dialect), groups_(std::move(groups)) {}

  // {"$ref": ...}; the type and all it leads to are now part of the document.
  json::Value ref(const Type& type);
  json::Value ref(std::string_view special);

  // In name order; each schema is made when it is its turn.
  void each(const std::function<void(const std::string& name, const json::Value& schema)>& fn);

 private:
  void need(const Type& type);
  void need_value(const Type& owner, const Field& field, const Type& type);
  json::Value ref_to(std::string_view name) const;
  json::Value struct_schema(const Type& type) const;
  json::Value property(const Type& owner, const Field& field) const;
  json::Value value_schema(const Type& owner, const Field& field, const Type& type) const;
  json::Value kinds_of(const Type& type) const;
  json::Value special_schema(std::string_view name) const;

  Dialect dialect_;
  std::vector<std::pair<std::string, std::string>> groups_;
  std::map<std::string, const Type*> needed_;  // null: special
};

}  // namespace knarr::api
