#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

// What a secret's type promises of its data.
void secret_type(const Value& secret, ErrorList& errors);
void namespace_finalizer(const Value& finalizer, const Path& path, ErrorList& errors);
void pod_template_object(const Value& object, ErrorList& errors);

void node(const Value& object, ErrorList& errors);
void node_update(const Value& object, const Value& old, ErrorList& errors);
void limit_range(const Value& object, ErrorList& errors);
void resource_quota(const Value& object, ErrorList& errors);
void resource_quota_update(const Value& object, const Value& old, ErrorList& errors);
void resource_quota_status(const Value& object, const Value& old, ErrorList& errors);
void event(const Value& object, ErrorList& errors);
void event_update(const Value& object, const Value& old, ErrorList& errors);
// The same asked through events.k8s.io.
void strict_event(const Value& object, ErrorList& errors);
void strict_event_update(const Value& object, const Value& old, ErrorList& errors);

}  // namespace knarr::api::rules
