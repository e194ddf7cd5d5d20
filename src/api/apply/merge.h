// The value operations of server-side apply, after structured-merge-diff: laying a configuration
// over a live object, and taking fields out of it. Pure; any thread.
#pragma once

#include "api/apply/field_set.h"
#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

// `live` with every field of `config` laid over it. Elements of associative lists are matched by
// key: those of the configuration come in its order, the others keep their place.
json::Value merge_config(const Type& type, json::Value live, const json::Value& config);

// `value` without the members of `set`. What becomes empty by it goes as well.
json::Value without_fields(const Type& type, json::Value value, const FieldSet& set);

// `set`, and with every path the struct fields on the way to it.
FieldSet with_named_parents(const Type& type, const FieldSet& set);

}  // namespace knarr::api
