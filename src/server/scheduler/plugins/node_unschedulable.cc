// A cordoned node takes only pods that tolerate its taint.
#include "server/scheduler/plugins/all.h"

namespace knarr::server {

Plugin node_unschedulable_plugin() {
  Plugin p{"NodeUnschedulable"};
  p.wakes_on = kNodeChange;
  p.filter = [](Cycle& cycle, const NodeInfo& node) -> Verdict {
    static const api::Taint taint{"node.kubernetes.io/unschedulable", "", "NoSchedule"};
    if (!node.unschedulable || api::tolerated(cycle.pod.tolerations, taint)) return {};
    return Verdict::never("node(s) were unschedulable");
  };
  return p;
}

}  // namespace knarr::server
