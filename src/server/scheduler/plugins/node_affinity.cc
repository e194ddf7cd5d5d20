// spec.nodeSelector and node affinity, required and preferred.
#include "server/scheduler/plugins/all.h"

namespace knarr::server {

Plugin node_affinity_plugin() {
  Plugin p{"NodeAffinity"};
  p.wakes_on = kNodeChange;
  // Terms that name nodes (as DaemonSets' do) leave only those to look at.
  p.prepare = [](Cycle& cycle) -> Verdict {
    if (!cycle.pod.names_nodes) return {};
    cycle.only = std::make_unique<std::vector<NodeInfo*>>();
    for (const std::string& name : cycle.pod.only_nodes) {
      if (NodeInfo* node = cycle.table.find(name)) cycle.only->push_back(node);
    }
    cycle.narrowed_by.push_back("NodeAffinity");
    return {};
  };
  p.filter = [](Cycle& cycle, const NodeInfo& node) -> Verdict {
    if (cycle.pod.node_requirement.matches(node.name, node.labels)) return {};
    return Verdict::never("node(s) didn't match Pod's node affinity/selector");
  };
  p.weight = 2;
  p.score = [](Cycle& cycle, const std::vector<NodeInfo*>& nodes, std::vector<int64_t>& scores) {
    if (cycle.pod.preferred_nodes.empty()) return false;
    for (size_t i = 0; i < nodes.size(); ++i) {
      for (const PreferredNode& preferred : cycle.pod.preferred_nodes) {
        if (preferred.term.matches(nodes[i]->name, nodes[i]->labels)) scores[i] += preferred.weight;
      }
    }
    normalize_by_max(scores, false);
    return true;
  };
  return p;
}

}  // namespace knarr::server
