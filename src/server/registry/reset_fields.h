// The fields that an endpoint takes back from the stored object, whatever a client sends: nobody
// comes to own them there. Pure.
#pragma once

#include <string_view>

#include "api/apply/field_set.h"
#include "api/resource.h"
#include "server/registry/strategy.h"

namespace knarr::server {

api::FieldSet reset_fields(const api::ResourceInfo& resource, std::string_view subresource,
                           const Traits& traits);

}  // namespace knarr::server
