#include "server/scheduler/plugin.h"

#include <algorithm>

#include "server/scheduler/plugins/all.h"

namespace knarr::server {

const std::vector<Plugin>& scheduler_plugins() {
  static const std::vector<Plugin> plugins{node_unschedulable_plugin(),
                                           node_name_plugin(),
                                           taint_toleration_plugin(),
                                           node_affinity_plugin(),
                                           node_ports_plugin(),
                                           node_resources_plugin(),
                                           volume_plugin(),
                                           topology_spread_plugin(),
                                           inter_pod_affinity_plugin(),
                                           balanced_allocation_plugin(),
                                           image_locality_plugin()};
  return plugins;
}

void normalize_by_max(std::vector<int64_t>& scores, bool reverse) {
  int64_t most = scores.empty() ? 0 : *std::max_element(scores.begin(), scores.end());
  for (int64_t& s : scores) {
    if (most > 0) s = s * 100 / most;
    if (reverse) s = 100 - s;
  }
}

}  // namespace knarr::server
