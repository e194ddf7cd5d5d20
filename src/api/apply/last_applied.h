// The annotation in which kubectl's client-side apply remembers its last configuration, and the
// move from it to server-side apply: what the annotation says and the object still has is the
// applier's own, whoever is noted as its owner. Pure; any thread.
#pragma once

#include "api/apply/field_set.h"
#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

// The fields that the annotation of `live` names with the values they still have; empty without an
// annotation of this version. Only the manager "kubectl" takes them over.
FieldSet allowed_by_last_applied(const Type& type, const json::Value& live,
                                 std::string_view api_version);

// Keeps an annotation that is there true to `config`, which was just applied by "kubectl".
void renew_last_applied(json::Value& object, const json::Value& config);

}  // namespace knarr::api
