#include "agent/dns/sockets.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "unit/agent_proxy/net_sandbox.h"

using namespace knarr;
using namespace knarr::agent;

TEST_CASE("a port that only one of the two protocols has free is not chosen", "[root]") {
  in_new_netns([] {
    std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
    REQUIRE((range << "40000 40007" << std::flush));
    std::vector<DnsSockets> held;
    for (uint16_t port = 40000; port < 40006; port++) {
      auto both = bind_dns_sockets("127.0.0.1", port);
      REQUIRE(both.ok());
      both->tcp.reset();
      held.push_back(std::move(*both));
    }
    auto free = bind_dns_sockets("127.0.0.1", 0);
    REQUIRE(free.ok());
    CHECK(free->port >= 40006);
    CHECK(!bind_dns_sockets("127.0.0.1", 40000).ok());
  });
}
