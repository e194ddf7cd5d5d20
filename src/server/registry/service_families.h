// Address families of a service, before it is given addresses and validated: what is left out is
// inferred, what this cluster cannot give is refused. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::server {

// `spec` of a service that is not an ExternalName; `before`: as it is stored, null on a create.
// `families`: "IPv4", "IPv6", those of the cluster, the default first.
Result<void> init_families(json::Value& spec, const json::Value& before, const std::string& name,
                           const std::vector<std::string>& families);

}  // namespace knarr::server
