// Claims and volumes, as other rules need them.
#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

// Of a claim, of a stateful set's template, or of a pod's ephemeral volume.
void claim_spec(const Value& spec, const Path& path, ErrorList& errors);
// `inlined`: the volume that an attachment brings along.
void volume_spec(const Value& spec, bool inlined, const Path& path, ErrorList& errors);

void volume(const Value& object, ErrorList& errors);
void volume_update(const Value& object, const Value& old, ErrorList& errors);
void claim(const Value& object, ErrorList& errors);
void claim_update(const Value& object, const Value& old, ErrorList& errors);
void claim_status(const Value& object, const Value& old, ErrorList& errors);

}  // namespace knarr::api::rules
