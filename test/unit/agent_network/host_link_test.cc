#include "agent/network/host_link.h"

#include <catch2/catch.hpp>

#include "agent/network/rtnetlink.h"
#include "temp_dir.h"
#include "unit/agent_network/fake_pod.h"
#include "unit/agent_proxy/net_sandbox.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kLimitMs = 20'000;

bool has_address(Netlink& netlink, const std::string& link, const std::string& address) {
  auto found = find_link(netlink, link);
  auto addresses = list_addresses(netlink);
  if (!found.ok() || !*found || !addresses.ok()) return false;
  for (const LinkAddress& a : *addresses) {
    if (a.link == (*found)->index && a.address.text() == address) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("the host's link comes once it can, and again when others took it away", "[root]") {
  in_new_netns([] {
    test::TempDir folder;
    base::Loop loop;
    BridgeOptions options;
    options.bridge = "knarrt0";
    options.service_cidr = "10.43.0.0/16";
    options.host_addresses = {"10.43.0.10"};
    options.state_dir = folder / "network";
    Iptables iptables(loop, {"KT", 14, {}});
    auto netlink = Netlink::open();
    REQUIRE(netlink.ok());
    FakePod other;
    int refused = 0;
    // Somebody's link of another kind has its name.
    REQUIRE(create_veth(*netlink, {"knarrt0", "eth0", "\x0a\x58\x01\x01\x01\x01", other.fd_.get()},
                        &refused)
                .ok());
    HostLink link(loop, iptables, options);
    link.start();
    auto there = [&] { return has_address(*netlink, "knarrt0", "10.43.0.10/32"); };
    loop.run_until([] { return false; }, 300);
    CHECK(!there());
    REQUIRE(delete_link(*netlink, "knarrt0").ok());
    CHECK(loop.run_until(there, kLimitMs));
    REQUIRE(delete_link(*netlink, "knarrt0").ok());
    CHECK(loop.run_until(there, kLimitMs));
    REQUIRE(remove_rules("KT").ok());
  });
}
