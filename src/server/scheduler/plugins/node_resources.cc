// Requests must fit what is left of a node. Of those that fit, the emptiest is liked most.
#include <algorithm>
#include <cmath>

#include "server/scheduler/plugins/all.h"

namespace knarr::server {

namespace {

void check(Verdict& verdict, const std::string& name, int64_t asked, int64_t used,
           int64_t allocatable) {
  if (asked <= 0 || asked <= allocatable - used) return;
  verdict.reasons.push_back("Insufficient " + name);
  // More than the node has at all: nobody's going helps.
  if (asked > allocatable) {
    verdict.fit = Fit::kNever;
  } else if (verdict.fit == Fit::kYes) {
    verdict.fit = Fit::kNo;
  }
}

int64_t free_share(int64_t used, int64_t allocatable) {
  return used > allocatable ? 0 : (allocatable - used) * 100 / allocatable;
}

}  // namespace

Plugin node_resources_plugin() {
  Plugin p{"NodeResourcesFit"};
  p.wakes_on = kNodeChange | kPodGone;
  p.filter = [](Cycle& cycle, const NodeInfo& node) -> Verdict {
    Verdict verdict;
    if (static_cast<int64_t>(node.pods.size()) + 1 > node.max_pods) {
      verdict = Verdict::no("Too many pods");
    }
    const Amounts& asked = cycle.pod.requests;
    check(verdict, "cpu", asked.cpu_milli, node.requested.cpu_milli, node.allocatable.cpu_milli);
    check(verdict, "memory", asked.memory, node.requested.memory, node.allocatable.memory);
    check(verdict, "ephemeral-storage", asked.storage, node.requested.storage,
          node.allocatable.storage);
    for (const auto& [name, amount] : asked.further) {
      check(verdict, name, amount, node.requested.get(name), node.allocatable.get(name));
    }
    return verdict;
  };
  p.score = [](Cycle& cycle, const std::vector<NodeInfo*>& nodes, std::vector<int64_t>& scores) {
    const Amounts& pod = cycle.pod.floored;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const NodeInfo& n = *nodes[i];
      int64_t sum = 0, weight = 0;
      if (n.allocatable.cpu_milli > 0) {
        sum += free_share(n.floored.cpu_milli + pod.cpu_milli, n.allocatable.cpu_milli);
        ++weight;
      }
      if (n.allocatable.memory > 0) {
        sum += free_share(n.floored.memory + pod.memory, n.allocatable.memory);
        ++weight;
      }
      scores[i] = weight == 0 ? 0 : sum / weight;
    }
    return true;
  };
  return p;
}

Plugin balanced_allocation_plugin() {
  Plugin p{"NodeResourcesBalancedAllocation"};
  p.score = [](Cycle& cycle, const std::vector<NodeInfo*>& nodes, std::vector<int64_t>& scores) {
    const Amounts& pod = cycle.pod.requests;
    if (pod.cpu_milli == 0 && pod.memory == 0) return false;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const NodeInfo& n = *nodes[i];
      if (n.allocatable.cpu_milli == 0 || n.allocatable.memory == 0) {
        scores[i] = 100;
        continue;
      }
      auto share = [](int64_t used, int64_t all) {
        return std::min(1.0, static_cast<double>(used) / static_cast<double>(all));
      };
      double cpu = share(n.requested.cpu_milli + pod.cpu_milli, n.allocatable.cpu_milli);
      double memory = share(n.requested.memory + pod.memory, n.allocatable.memory);
      scores[i] = static_cast<int64_t>((1 - std::fabs(cpu - memory) / 2) * 100);
    }
    return true;
  };
  return p;
}

}  // namespace knarr::server
