#include "agent/network/overlay_plan.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <string>

#include "agent/network/link_monitor.h"
#include "agent/network/peer_check.h"
#include "agent/network/rtnetlink.h"
#include "base/format.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

OverlayNode node(const std::string& addresses, const std::string& ranges) {
  std::string text =
      R"({"status":{"addresses":[)" + addresses + R"(]},"spec":{"podCIDRs":[)" + ranges + "]}}";
  return parse_overlay_node(*json::parse(text));
}
std::string internal(const std::string& ip) {
  return R"({"type":"InternalIP","address":")" + ip + R"("})";
}
OverlayNode simple(int n) {
  return node(internal(fmt::format("192.0.2.{}", n)), fmt::format(R"("10.42.{}.0/24")", n));
}

std::string hex(const std::string& mac) {
  std::string out;
  for (unsigned char c : mac) out += fmt::format("{:02x}", c);
  return out;
}

// "route 10.42.1.0/24 10.42.1.0; neighbour ...": so that a table of expectations can be read.
std::string text_of(const std::optional<OverlayPlan>& plan) {
  if (!plan) return "none";
  std::string out;
  if (plan->vtep) {
    out += "vtep " + hex(plan->vtep->mac);
    for (const auto& a : plan->vtep->addresses) out += " " + a.text();
    out += " from " + plan->vtep->local->text() + "; ";
  }
  if (plan->relay) out += "relay's link; ";
  for (const auto& r : plan->routes) {
    using Way = OverlayRoute::Way;
    out += r.way == Way::kSpare ? "spare " : r.way == Way::kRelay ? "relay " : "route ";
    out += r.to.text() + (r.gateway ? " " + r.gateway->text() : "") + "; ";
  }
  for (const auto& e : plan->neighbours) {
    out += "neighbour " + e.address.text() + " " + hex(e.mac) + "; ";
  }
  for (const auto& e : plan->forwarding) {
    out += "forward " + hex(e.mac) + " " + e.address.text() + "; ";
  }
  return out;
}

std::string planned(NetworkBackend backend, const std::map<std::string, OverlayNode>& nodes,
                    const RelayNeeds& relay = {}) {
  OverlayOptions options;
  options.backend = backend;
  options.node_name = "n0";
  return text_of(plan_overlay(options, nodes, relay));
}

}  // namespace

TEST_CASE("what goes by the server's relay") {
  constexpr auto kVxlan = NetworkBackend::kVxlan;
  const std::map<std::string, OverlayNode> nodes = {{"n0", simple(0)}, {"n1", simple(1)}};
  const std::string vtep = "vtep 0a580a2a0000 10.42.0.0 from 192.0.2.0; ";
  const std::string way = "neighbour 10.42.1.0 0a580a2a0100; forward 0a580a2a0100 192.0.2.1; ";
  CHECK(planned(kVxlan, nodes, {{"n1"}}) == vtep +
                                                "relay's link; spare 10.42.1.0/24 10.42.1.0; "
                                                "relay 10.42.1.0/24; " +
                                                way);
  CHECK(planned(kVxlan, nodes, {{}, true}) ==
        vtep + "relay's link; route 10.42.1.0/24 10.42.1.0; " + way);
  CHECK(planned(kVxlan, nodes, {{"n2"}}) == vtep + "route 10.42.1.0/24 10.42.1.0; " + way);
  CHECK(planned(kVxlan, {{"n0", simple(0)}}, {{"n1"}, true}).empty());
  CHECK(planned(NetworkBackend::kHostGw, nodes, {{"n1"}}) == "route 10.42.1.0/24 192.0.2.1; ");
}

TEST_CASE("what a node needs to reach the pods of others") {
  constexpr auto kVxlan = NetworkBackend::kVxlan;
  constexpr auto kHostGw = NetworkBackend::kHostGw;
  const std::string peer1 =
      "vtep 0a580a2a0000 10.42.0.0 from 192.0.2.0; route 10.42.1.0/24 10.42.1.0; "
      "neighbour 10.42.1.0 0a580a2a0100; forward 0a580a2a0100 192.0.2.1; ";
  CHECK(planned(kVxlan, {}) == "none");
  CHECK(planned(kVxlan, {{"n1", simple(1)}}) == "none");
  CHECK(planned(kVxlan, {{"n0", node(internal("192.0.2.0"), "")}, {"n1", simple(1)}}) == "none");
  OverlayNode no_address = node("", R"("10.42.0.0/24")");
  CHECK(planned(kVxlan, {{"n0", no_address}, {"n1", simple(1)}}) == "none");
  CHECK(planned(kHostGw, {{"n0", no_address}, {"n1", simple(1)}}) == "none");
  CHECK(planned(kVxlan, {{"n0", simple(0)}}).empty());
  CHECK(planned(kVxlan, {{"n0", simple(0)}, {"n1", simple(1)}}) == peer1);
  CHECK(planned(kHostGw, {{"n0", simple(0)}, {"n1", simple(1)}}) ==
        "route 10.42.1.0/24 192.0.2.1; ");
  CHECK(planned(NetworkBackend::kNone, {{"n0", simple(0)}, {"n1", simple(1)}}).empty());
  SECTION("nodes that can't be reached, and stale ones, are left out") {
    CHECK(planned(kVxlan, {{"n0", simple(0)},
                           {"n1", simple(1)},
                           {"n2", node(internal("192.0.2.9"), "")},
                           {"n3", node("", R"("10.42.3.0/24")")},
                           {"n4", node(internal("192.0.2.0"), R"("10.42.4.0/24")")},
                           {"n5", node(internal("192.0.2.5"), R"("10.42.1.0/24")")},
                           {"n6", node(internal("192.0.2.6"), R"("10.42.0.0/24")")},
                           {"n7", node(internal("fd00::7"), R"("10.42.7.0/24")")}}) == peer1);
  }
  SECTION("IPv6 beside IPv4") {
    OverlayNode own =
        node(internal("192.0.2.0") + "," + internal("fd00::1:0"), R"("10.42.0.0/24","fd42::/64")");
    OverlayNode peer = node(internal("192.0.2.1") + "," + internal("fd00::1:1"),
                            R"("10.42.1.0/24","fd42:0:0:1::/64")");
    CHECK(planned(kVxlan, {{"n0", own}, {"n1", peer}}) ==
          "vtep 0a580a2a0000 10.42.0.0 fd42:: from 192.0.2.0; route 10.42.1.0/24 10.42.1.0; "
          "route fd42:0:0:1::/64 fd42:0:0:1::; neighbour 10.42.1.0 0a580a2a0100; "
          "neighbour fd42:0:0:1:: 0a580a2a0100; forward 0a580a2a0100 192.0.2.1; ");
    CHECK(planned(kHostGw, {{"n0", own}, {"n1", peer}}) ==
          "route 10.42.1.0/24 192.0.2.1; route fd42:0:0:1::/64 fd00::1:1; ");
  }
}

TEST_CASE("the range and the addresses of a node") {
  OverlayNode n = parse_overlay_node(*json::parse(R"({"spec":{"podCIDR":"10.42.3.7/24"},"status":
      {"addresses":[{"type":"Hostname","address":"n1"},{"type":"ExternalIP","address":"198.51.100.1"},
       {"type":"InternalIP","address":"192.0.2.3"},{"type":"InternalIP","address":"x"}]}})"));
  REQUIRE(n.ranges.size() == 1);
  CHECK(n.ranges[0].text() == "10.42.3.0/24");
  REQUIRE(n.addresses.size() == 1);
  CHECK(n.addresses[0].text() == "192.0.2.3");
}

TEST_CASE("messages about links that are cut short say nothing") {
  CHECK(links_changed_by("").empty());
  CHECK(links_changed_by(std::string(15, '\0')).empty());
  CHECK(links_changed_by(std::string(64, '\xff')).empty());
}

TEST_CASE("an address is news when it is new, not when its time is made longer") {
  auto message = [](uint32_t created, uint32_t told, uint8_t scope) {
    nlmsghdr head{};
    ifaddrmsg address{};
    rtattr attribute{};
    ifa_cacheinfo times{};
    head.nlmsg_len = sizeof head + sizeof address + sizeof attribute + sizeof times;
    head.nlmsg_type = RTM_NEWADDR;
    address.ifa_family = AF_INET6;
    address.ifa_scope = scope;
    attribute.rta_len = sizeof attribute + sizeof times;
    attribute.rta_type = IFA_CACHEINFO;
    times.cstamp = created;
    times.tstamp = told;
    std::string out;
    auto add = [&out](const auto& part) {
      out.append(reinterpret_cast<const char*>(&part), sizeof part);
    };
    add(head);
    add(address);
    add(attribute);
    add(times);
    return links_changed_by(out).size();
  };
  CHECK(message(7, 7, RT_SCOPE_UNIVERSE) == 1);
  CHECK(message(7, 9, RT_SCOPE_UNIVERSE) == 0);
  CHECK(message(7, 7, RT_SCOPE_LINK) == 0);
}

TEST_CASE("echoes: what is asked, and what answers it") {
  std::string request = echo_request(0x1234);
  CHECK(hex(request) == "0800e5cb12340000");
  std::string head(20, '\0');
  head[0] = 0x45;
  std::string reply = head + request;
  reply[20] = 0;
  CHECK(is_echo_reply(reply, 0x1234));
  CHECK(!is_echo_reply(reply, 0x1235));
  CHECK(!is_echo_reply(head + request, 0x1234));
  for (size_t n = 0; n < reply.size(); n++) CHECK(!is_echo_reply(reply.substr(0, n), 0x1234));
}
