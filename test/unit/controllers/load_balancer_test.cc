#include "server/controllers/load_balancer.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::server;

TEST_CASE("who gets the ports of the nodes") {
  using Claims = std::map<NamespacedName, BalancerClaim>;
  using Refused = std::map<NamespacedName, std::string>;
  const NamespacedName a{"x", "a"}, b{"x", "b"}, c{"x", "c"};
  const std::set<std::string> taken = {"TCP/6443"};
  CHECK(refused_balancers({}, taken).empty());
  CHECK(refused_balancers(Claims{{a, {2, {"TCP/80"}}}, {b, {1, {"TCP/81", "UDP/80"}}}}, taken)
            .empty());
  CHECK(refused_balancers(Claims{{a, {2, {"TCP/80"}}}, {b, {1, {"TCP/80"}}}}, taken) ==
        Refused{{a, "Port TCP/80 is used by service x/b"}});
  // Who is refused holds nothing.
  CHECK(refused_balancers(Claims{{a, {1, {"TCP/6443", "TCP/80"}}}, {b, {2, {"TCP/80"}}}}, taken) ==
        Refused{{a, "Port TCP/6443 is used by the nodes themselves"}});
  CHECK(refused_balancers(
            Claims{{a, {1, {"TCP/80"}}}, {b, {2, {"TCP/80", "TCP/81"}}}, {c, {3, {"TCP/81"}}}},
            taken) == Refused{{b, "Port TCP/80 is used by service x/a"}});
}
