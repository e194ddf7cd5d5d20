#include "server/controllers/node_ipam.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::server;

TEST_CASE("the share of a range that a node gets") {
  struct Row {
    const char* range;
    int bits;
    std::vector<const char*> taken;
    const char* expected;
  };
  const Row rows[] = {
      {"10.42.0.0/16", 24, {}, "10.42.0.0/24"},
      {"10.42.0.0/16", 24, {"10.42.0.0/24", "10.42.2.0/24"}, "10.42.1.0/24"},
      {"10.42.0.0/16", 24, {"10.42.1.0/24", "10.42.0.0/24", "fd00::/64"}, "10.42.2.0/24"},
      {"10.42.0.0/16", 26, {"10.42.0.0/24"}, "10.42.1.0/26"},
      {"10.42.0.0/16", 20, {"10.42.3.0/24"}, "10.42.16.0/20"},
      {"10.42.0.0/24", 24, {"10.42.0.0/24"}, "none"},
      {"10.42.0.0/24", 25, {"10.42.0.0/16"}, "none"},
      {"10.42.0.0/24", 20, {}, "none"},
      {"fd00:42::/56", 64, {}, "fd00:42::/64"},
      {"fd00:42::/56", 64, {"fd00:42::/64", "10.42.0.0/24"}, "fd00:42:0:1::/64"},
      {"fd00:42::/48", 64, {"fd00:42::/63"}, "fd00:42:0:2::/64"},
      {"fd00:42::/32", 112, {"fd00:42::/112"}, "none"},  // more shares than anybody counts
      {"fd00:42::/60", 122, {"fd00:42::/122"}, "fd00:42::40/122"},
  };
  for (const Row& row : rows) {
    std::vector<api::Cidr> taken;
    for (const char* t : row.taken) taken.push_back(*api::Cidr::parse(t));
    auto share = free_share(*api::Cidr::parse(row.range), row.bits, taken);
    INFO(row.range << " " << row.bits);
    CHECK((share ? share->text() : "none") == row.expected);
  }
}
