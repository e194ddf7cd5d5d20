// Defaulting: what kube-apiserver fills in before it validates and stores. Most rules are data in
// the catalogue; defaults_<group>.cc hold what a table can't say. Idempotent. Pure, except that it
// takes no clock: rules that need the time (DeviceTaint.timeAdded) are the registry's.
#pragma once

#include "api/schema/schema.h"
#include "base/json.h"

namespace knarr::api {

// The value may be in any order. Rules of a struct run wherever it occurs, the outer one's before
// the nested ones'.
void apply_defaults(const Type& type, json::Value& value);

}  // namespace knarr::api
