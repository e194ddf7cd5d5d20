// The plug-ins, a file each.
#pragma once

#include "server/scheduler/plugin.h"

namespace knarr::server {

// What the plug-ins that look at where other pods are have in common.
inline Plugin spreading_plugin(const char* name, decltype(Plugin::prepare) prepare,
                               decltype(Plugin::filter) filter, decltype(Plugin::score) score) {
  return {.name = name,
          .wakes_on = kNodeChange | kPodGone | kPodPlaced,
          .prepare = prepare,
          .filter = filter,
          .score = score,
          .weight = 2};
}

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
