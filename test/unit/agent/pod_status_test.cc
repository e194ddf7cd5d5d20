#include "agent/pod_status.h"

#include <catch2/catch.hpp>

using namespace knarr::agent;

TEST_CASE("of a pod's addresses its status has one of each family, the node's first") {
  using Ips = std::vector<std::string>;
  struct Row {
    Ips all, host, shown;
  };
  const Row rows[] = {
      {{"10.42.0.5"}, {"192.0.2.1"}, {"10.42.0.5"}},
      {{"fd00::5", "10.42.0.5"}, {"192.0.2.1"}, {"10.42.0.5", "fd00::5"}},
      {{"10.42.0.5", "fd00::5"}, {"2001:db8::1"}, {"fd00::5", "10.42.0.5"}},
      {{"10.42.0.5", "10.43.0.5", "fd00::5", "fd00::6"}, {"192.0.2.1"}, {"10.42.0.5", "fd00::5"}},
      {{"fd00::5"}, {"192.0.2.1"}, {"fd00::5"}},
      {{}, {"192.0.2.1"}, {}},
      {{"10.42.0.5"}, {}, {"10.42.0.5"}},
  };
  for (const Row& row : rows) CHECK(shown_ips(row.all, row.host) == row.shown);
}
