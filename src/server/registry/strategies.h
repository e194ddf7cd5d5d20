// The strategies by family, each defined in a file of its own.
#pragma once

#include <vector>

#include "server/registry/strategy.h"

namespace knarr::server {

void add_pod_strategies(std::vector<StrategyRow>& rows);
void add_core_strategies(std::vector<StrategyRow>& rows);
void add_service_strategies(std::vector<StrategyRow>& rows, ServiceAllocator& services,
                            AddressRecords& records);
void add_workload_strategies(std::vector<StrategyRow>& rows);
void add_plain_strategies(std::vector<StrategyRow>& rows);

}  // namespace knarr::server
