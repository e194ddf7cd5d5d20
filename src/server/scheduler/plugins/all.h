// The plug-ins, a file each.
#pragma once

#include "server/scheduler/plugin.h"

namespace knarr::server {

Plugin node_unschedulable_plugin();
Plugin node_name_plugin();
Plugin taint_toleration_plugin();
Plugin node_affinity_plugin();
Plugin node_ports_plugin();
Plugin node_resources_plugin();
Plugin balanced_allocation_plugin();
Plugin volume_plugin();
Plugin topology_spread_plugin();
Plugin inter_pod_affinity_plugin();
Plugin image_locality_plugin();

}  // namespace knarr::server
