#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

void flow_schema(const Value& object, ErrorList& errors);
void priority_level(const Value& object, ErrorList& errors);
// Of both.
void flow_status(const Value& object, const Value& old, ErrorList& errors);

}  // namespace knarr::api::rules
