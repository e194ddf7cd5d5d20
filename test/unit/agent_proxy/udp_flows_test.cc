#include "agent/proxy/udp_flows.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "base/run_process.h"
#include "base/unique_fd.h"
#include "unit/agent_proxy/net_sandbox.h"

using namespace knarr;
using namespace knarr::agent;
using base::UniqueFd;

namespace {

sockaddr_in address(const char* ip, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}

UniqueFd bound(const char* ip) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in a = address(ip, 5300);
  REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
  return fd;
}

bool reaches(const UniqueFd& client, const UniqueFd& server) {
  sockaddr_in to = address("127.0.0.5", 53);
  sendto(client.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  pollfd p{server.get(), POLLIN, 0};
  if (poll(&p, 1, 1000) != 1) return false;
  char byte;
  return recv(server.get(), &byte, 1, 0) == 1;
}

void lead_to(const std::string& where) {
  std::string iptables = base::find_program("iptables");
  for (std::vector<std::string> args :
       std::vector<std::vector<std::string>>{{"-F", "OUTPUT"},
                                             {"-A", "OUTPUT", "-d", "127.0.0.5", "-p", "udp", "-j",
                                              "DNAT", "--to-destination", where}}) {
    args.insert(args.begin(), {iptables, "-t", "nat"});
    REQUIRE(base::run_process(args, {})->exit_code == 0);
  }
}

}  // namespace

TEST_CASE("which UDP flows have to be looked at") {
  UdpBackends before = {{{"a", 1}, {"x"}}, {{"b", 1}, {"x", "y"}}, {{"", 30000}, {}}};
  UdpBackends after = {{{"b", 1}, {"y"}}, {{"", 30000}, {}}, {{"c", 1}, {"z"}}};
  UdpBackends expected = {{{"a", 1}, {}}, {{"b", 1}, {"y"}}, {{"c", 1}, {"z"}}};
  CHECK(changed_backends(before, after) == expected);
  CHECK(changed_backends(after, after).empty());
}

TEST_CASE("UDP ports of services") {
  ServiceState state;
  ServiceView view = parse_service(*json::parse(R"({"metadata":{"namespace":"d","name":"s"},"spec":
      {"clusterIP":"10.43.0.9","ports":[{"port":53,"protocol":"UDP","nodePort":30053},
      {"name":"t","port":53}]}})"));
  state.services[view.name] = view;
  UdpBackends expected = {{{"10.43.0.9", 53}, {}}, {{"", 30053}, {}}};
  CHECK(udp_backends(state, {}) == expected);
  expected.erase({"10.43.0.9", 53});
  CHECK(udp_backends(state, {"10.43.0.9"}) == expected);
  // Behind its outside address a node has the inside one.
  view.ingress_ips = {"203.0.113.1", "2001:db8::1"};
  state.services[view.name] = view;
  ProxyNode node{"", {{"203.0.113.1", "192.0.2.1"}, {"2001:db8::1", "fd00::1"}}};
  expected[{"203.0.113.1", 53}] = expected[{"192.0.2.1", 53}] = {};
  CHECK(udp_backends(state, {"10.43.0.9"}, node) == expected);
  UdpBackends six = {{{"", 30053}, {}}, {{"2001:db8::1", 53}, {}}, {{"fd00::1", 53}, {}}};
  CHECK(udp_backends(state, {"10.43.0.9"}, node, true) == six);
}

TEST_CASE("a flow follows its service to another endpoint", "[root]") {
  in_new_netns([] {
    REQUIRE(
        base::run_process({base::find_program("ip"), "link", "set", "lo", "up"}, {})->exit_code ==
        0);
    UniqueFd one = bound("127.0.0.1"), two = bound("127.0.0.2");
    UniqueFd client(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    lead_to("127.0.0.1:5300");
    REQUIRE(reaches(client, one));
    lead_to("127.0.0.2:5300");
    REQUIRE(reaches(client, one));  // as it began
    REQUIRE(forget_flows({{{"127.0.0.5", 53}, {"127.0.0.1"}}}).ok());
    REQUIRE(reaches(client, one));  // which was right
    REQUIRE(forget_flows({{{"127.0.0.5", 53}, {"127.0.0.2"}}}).ok());
    CHECK(reaches(client, two));
    CHECK(forget_flows({}).ok());
  });
}
