// Whatever the ConfigMap of cluster DNS holds under any of its keys is taken or refused with words;
// what was taken has zones and names as they are looked up, and a rewritten name is one.
#include "agent/dns/custom_dns.h"
#include "knarr/check.h"

using namespace knarr::agent;
using knarr::json::Value;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* key :
       {"x.server", "x.override", "stubDomains", "upstreamNameservers", "hosts"}) {
    CustomDns custom = parse_custom_dns(Value::object({{key, text}}));
    CHECK(custom.problems.empty() || custom.blocks.empty());
    for (const auto& [zone, block] : custom.blocks) {
      CHECK(zone.empty() || custom.block_of("a." + zone, "") != nullptr);
      for (const DnsTarget& target : block.targets) CHECK(target.port != 0);
      static_cast<void>(rewritten(block.rewrites, "a.example").size());
    }
  }
  return 0;
}
