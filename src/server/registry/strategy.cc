#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

bool counted(std::string_view member) {
  return member != "metadata" && member != "status" && member != "apiVersion" && member != "kind";
}

}  // namespace

bool Strategy::changed(const json::Value& now, const json::Value& old) const {
  for (json::Member m : now.members()) {
    if (counted(m.key) && !(m.value == old[m.key])) return true;
  }
  for (json::Member m : old.members()) {
    if (counted(m.key) && !now.has(m.key)) return true;
  }
  return false;
}

std::vector<StrategyRow> make_strategies(ServiceAllocator& services, AddressRecords& records) {
  std::vector<StrategyRow> rows;
  add_pod_strategies(rows);
  add_core_strategies(rows);
  add_service_strategies(rows, services, records);
  add_workload_strategies(rows);
  add_plain_strategies(rows);
  return rows;
}

}  // namespace knarr::server
