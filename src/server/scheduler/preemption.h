// Which pods of lower priority would have to go for a pod to fit, and where that hurts least. Takes
// pods from the node table while it tries, and puts them back.
#pragma once

#include <string>
#include <vector>

#include "server/scheduler/algorithm.h"

namespace knarr::server {

struct Preemption {
  std::string node;  // empty: none helps
  std::vector<PodInfoRef> victims;
  // The second half of the FailedScheduling message when none helps.
  std::string message;
};

Preemption find_preemption(Algorithm& algorithm, NodeTable& table, const Cache& cache,
                           const PodInfo& pod, const Choice& choice);

}  // namespace knarr::server
