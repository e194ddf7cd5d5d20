#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

void service(const Value& object, ErrorList& errors);
void service_update(const Value& object, const Value& old, ErrorList& errors);
void service_status(const Value& object, const Value& old, ErrorList& errors);
void endpoints(const Value& object, ErrorList& errors);
void endpoints_update(const Value& object, const Value& old, ErrorList& errors);
void endpoint_slice(const Value& object, ErrorList& errors);
void endpoint_slice_update(const Value& object, const Value& old, ErrorList& errors);
void ingress(const Value& object, ErrorList& errors);
void ingress_update(const Value& object, const Value& old, ErrorList& errors);
void ingress_status(const Value& object, const Value& old, ErrorList& errors);
void ingress_class(const Value& object, ErrorList& errors);
void ingress_class_update(const Value& object, const Value& old, ErrorList& errors);
void load_balancer_ingress(const Value& ingress, const Path& path, ErrorList& errors);

}  // namespace knarr::api::rules
