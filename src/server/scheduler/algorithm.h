// The choice of a node for a pod: prepare, filter, score, and preemption when nothing fits. Works
// on the node table as it is; makes no writes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "knarr/random.h"
#include "server/scheduler/plugin.h"

namespace knarr::server {

struct Choice {
  std::string node;  // empty: none
  // When there is none:
  std::string message;  // "0/3 nodes are available: ..."
  unsigned wakes_on = 0;
  bool preemptible = false;                 // some node refused with kNo
  std::map<std::string, Verdict> verdicts;  // by node
};

class Algorithm {
 public:
  Algorithm(NodeTable& table, const Cache& cache, Random& random)
      : table_(table), cache_(cache), random_(random) {}

  Choice choose(const PodInfo& pod);
  // Whether the pod fits the node as the table is now, everything prepared anew.
  Verdict check(const PodInfo& pod, const NodeInfo& node);

 private:
  // How many nodes that fit are enough to choose from.
  static size_t enough(size_t nodes);
  std::string best_of(Cycle& cycle, const std::vector<NodeInfo*>& nodes);
  void explain(const Cycle& cycle, const Verdict* for_all, Choice& choice) const;

  NodeTable& table_;
  const Cache& cache_;
  Random& random_;
  size_t start_ = 0;  // where the next search begins: all nodes get their turn
};

// "0/<n> nodes are available: <count> <reason>, ...", reasons sorted as text.
std::string fit_message(size_t nodes, const std::map<std::string, int64_t>& reasons);

}  // namespace knarr::server
