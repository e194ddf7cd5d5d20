// Whatever a node says of what is used, rates that are made of it are not negative.
#include "knarr/check.h"
#include "server/metrics/node_metrics.h"

using namespace knarr::server;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  NodeCounters counters = parse_resource_metrics({reinterpret_cast<const char*>(data), size});
  const UsageCounter* before = &counters.node;
  for (const auto& [pod, containers] : counters.pods) {
    for (const auto& [name, counter] : containers) {
      auto rate = usage_rate(before, counter);
      CHECK(!rate || (rate->cpu_nano_cores >= 0 && rate->memory_bytes >= 0 && rate->window_us > 0));
      before = &counter;
    }
  }
  return 0;
}
