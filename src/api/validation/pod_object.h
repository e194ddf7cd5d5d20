#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

void pod_create(const Value& pod, ErrorList& errors);
void pod_update(const Value& pod, const Value& old, ErrorList& errors);
void pod_status_update(const Value& pod, const Value& old, ErrorList& errors);
// All that is asked of a pod's metadata and spec, whenever they are written.
void pod_whole(const Value& pod, ErrorList& errors);
void pod_annotations_update(const Value& pod, const Value& old, ErrorList& errors);
bool is_mirror_pod(const Value& pod);
// Writes of /ephemeralcontainers and /resize.
void pod_ephemeral_update(const Value& pod, const Value& old, ErrorList& errors);
void pod_resize(const Value& pod, const Value& old, ErrorList& errors);

}  // namespace knarr::api::rules
