#include "agent/network/address_pool.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::agent;

namespace {

AddressPool pool(const char* range) { return AddressPool(*api::Cidr::parse(range)); }
api::IpAddress ip(const char* text) { return *api::IpAddress::parse(text); }

}  // namespace

TEST_CASE("addresses are given in turn, none again at once") {
  AddressPool p = pool("10.42.0.0/29");  // .2 to .6
  CHECK(p.gateway().text() == "10.42.0.1");
  CHECK(p.take("a")->text() == "10.42.0.2");
  CHECK(p.take("b")->text() == "10.42.0.3");
  CHECK(p.take("a")->text() == "10.42.0.2");
  p.free("a");
  p.free("a");
  CHECK(p.take("c")->text() == "10.42.0.4");
  CHECK(p.take("d")->text() == "10.42.0.5");
  CHECK(p.take("e")->text() == "10.42.0.6");
  CHECK(p.take("f")->text() == "10.42.0.2");
  CHECK(!p.take("g").ok());
  p.free("d");
  CHECK(p.take("g")->text() == "10.42.0.5");
  CHECK(p.taken() == 5);
}

TEST_CASE("addresses from before are taken over, if they are ours and free") {
  AddressPool p = pool("10.42.0.0/24");
  CHECK(p.adopt("a", ip("10.42.0.9")));
  CHECK(!p.adopt("a", ip("10.42.0.10")));
  CHECK(!p.adopt("b", ip("10.42.0.9")));
  for (const char* text : {"10.42.0.0", "10.42.0.1", "10.42.0.255", "10.42.1.2", "fd00::2"}) {
    INFO(text);
    CHECK(!p.adopt("b", ip(text)));
  }
  CHECK(p.take("a")->text() == "10.42.0.9");
  CHECK(p.take("b")->text() == "10.42.0.10");
}

TEST_CASE("small and large ranges") {
  CHECK(!pool("10.0.0.0/32").take("a").ok());
  CHECK(!pool("10.0.0.0/31").take("a").ok());
  CHECK(pool("10.0.0.0/30").take("a")->text() == "10.0.0.2");
  CHECK(pool("10.0.0.77/8").take("a")->text() == "10.0.0.2");
  CHECK(pool("fd00:1::/64").take("a")->text() == "fd00:1::2");
  CHECK(pool("fd00:1::/64").gateway().text() == "fd00:1::1");
}
