// Address families of a service, after validation and before it is given addresses: what is left
// out is inferred, what this cluster (IPv4 alone) cannot give is refused. Pure.
#pragma once

#include <string>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::server {

// `spec` of a service that is not an ExternalName.
Result<void> init_families(json::Value& spec, const std::string& name);

}  // namespace knarr::server
