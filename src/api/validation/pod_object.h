#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

void pod_create(const Value& pod, ErrorList& errors);
void pod_update(const Value& pod, const Value& old, ErrorList& errors);
void pod_status_update(const Value& pod, const Value& old, ErrorList& errors);
// Writes of /ephemeralcontainers and /resize.
void pod_ephemeral_update(const Value& pod, const Value& old, ErrorList& errors);
void pod_resize(const Value& pod, const Value& old, ErrorList& errors);

}  // namespace knarr::api::rules
