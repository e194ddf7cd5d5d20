// Taints: NoSchedule and NoExecute keep pods away, PreferNoSchedule makes a node less liked.
#include "server/scheduler/plugins/all.h"

namespace knarr::server {

Plugin taint_toleration_plugin() {
  Plugin p{"TaintToleration"};
  p.wakes_on = kNodeChange;
  p.filter = [](Cycle& cycle, const NodeInfo& node) -> Verdict {
    if (api::untolerated(cycle.pod.tolerations, node.taints) == nullptr) return {};
    return Verdict::never("node(s) had untolerated taint(s)");
  };
  p.weight = 3;
  p.score = [](Cycle& cycle, const std::vector<NodeInfo*>& nodes, std::vector<int64_t>& scores) {
    for (size_t i = 0; i < nodes.size(); ++i) {
      for (const api::Taint& t : nodes[i]->taints) {
        scores[i] += t.effect == "PreferNoSchedule" && !api::tolerated(cycle.pod.tolerations, t);
      }
    }
    normalize_by_max(scores, true);
    return true;
  };
  return p;
}

}  // namespace knarr::server
