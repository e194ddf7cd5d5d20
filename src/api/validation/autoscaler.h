#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

void autoscaler(const Value& object, ErrorList& errors);
void autoscaler_update(const Value& object, const Value& old, ErrorList& errors);
void autoscaler_status(const Value& object, const Value& old, ErrorList& errors);

}  // namespace knarr::api::rules
