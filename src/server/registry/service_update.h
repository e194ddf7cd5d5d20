// What an update of a service means where the client left things out: what it keeps of the
// addresses and ports it was given, and what its new type no longer needs. Pure, on `spec`s.
#pragma once

#include "base/json.h"

namespace knarr::server {

bool is_external_name(const json::Value& spec);
bool is_headless(const json::Value& spec);
bool has_node_ports(const json::Value& spec);    // a type that may have them
bool gives_node_ports(const json::Value& spec);  // each of its ports gets one
bool has_health_port(const json::Value& spec);

// On a create (`before` is null) and on updates: clusterIP and clusterIPs say the same, and what
// was allocated before stays when the client does not name it.
void keep_allocated(json::Value& spec, const json::Value& before);

// Clears what only the old type had a use for, unless the client changed it at the same time.
void drop_unneeded(json::Value& spec, const json::Value& before);

}  // namespace knarr::server
