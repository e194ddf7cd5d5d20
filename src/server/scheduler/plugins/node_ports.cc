// Host ports: one pod a node may have each.
#include "server/scheduler/plugins/all.h"

namespace knarr::server {

Plugin node_ports_plugin() {
  Plugin p{"NodePorts"};
  p.wakes_on = kNodeChange | kPodGone;
  p.filter = [](Cycle& cycle, const NodeInfo& node) -> Verdict {
    for (const HostPort& wanted : cycle.pod.ports) {
      for (const PodInfoRef& other : node.pods) {
        for (const HostPort& taken : other->ports) {
          if (wanted.conflicts(taken)) {
            return Verdict::no("node(s) didn't have free ports for the requested pod ports");
          }
        }
      }
    }
    return {};
  };
  return p;
}

}  // namespace knarr::server
