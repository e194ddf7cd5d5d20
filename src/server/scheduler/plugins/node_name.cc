// spec.nodeName of a pod that is not bound yet: that node only.
#include "server/scheduler/plugins/all.h"

namespace knarr::server {

Plugin node_name_plugin() {
  Plugin p{"NodeName"};
  p.wakes_on = kNodeChange;
  p.filter = [](Cycle& cycle, const NodeInfo& node) -> Verdict {
    if (cycle.pod.node.empty() || cycle.pod.node == node.name) return {};
    return Verdict::never("node(s) didn't match the requested node name");
  };
  return p;
}

}  // namespace knarr::server
