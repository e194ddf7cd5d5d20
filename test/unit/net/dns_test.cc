#include "net/dns.h"

#include <catch2/catch.hpp>

using namespace knarr::net::dns;

namespace {

std::string raw(std::initializer_list<int> bytes) {
  std::string out;
  for (int b : bytes) out += static_cast<char>(b);
  return out;
}

Message sample() {
  Message m;
  m.id = 0x1234;
  m.response = m.authoritative = m.recursion_desired = true;
  m.questions = {{"web.default.svc.cluster.local", kA, kClassIn}};
  m.answers = {{"web.default.svc.cluster.local", kA, 1, 5, Address{"10.43.0.7"}},
               {"web.default.svc.cluster.local", kAaaa, 1, 5, Address{"fd00::1"}},
               {"x.cluster.local", kCname, 1, 5, Name{"web.default.svc.cluster.local"}},
               {"_http._tcp.web.default.svc.cluster.local", kSrv, 1, 5,
                Srv{0, 100, 80, "web.default.svc.cluster.local"}},
               {"t.cluster.local", kTxt, 1, 5, Txt{{"a b", ""}}},
               {"o.cluster.local", 99, 1, 5, Raw{"\x01\x02"}}};
  m.authorities = {{"cluster.local", kSoa, 1, 5,
                    Soa{"ns.dns.cluster.local", "hostmaster.cluster.local", 1, 2, 3, 4, 5}}};
  m.additionals = {{"7.0.43.10.in-addr.arpa", kPtr, 1, 5, Name{"web.default.svc.cluster.local"}}};
  return m;
}

}  // namespace

TEST_CASE("DNS messages survive a round trip, compressed") {
  Message m = sample();
  m.has_edns = true;
  m.edns.udp_size = 4096;
  m.rcode = kNxDomain;
  std::string bytes = write(m);
  CHECK(bytes.size() < 400);
  auto back = parse(bytes);
  REQUIRE(back.ok());
  CHECK(back->id == 0x1234);
  CHECK(back->authoritative);
  CHECK(back->rcode == kNxDomain);
  CHECK(back->has_edns);
  CHECK(back->edns.udp_size == 4096);
  CHECK(back->questions[0].name == "web.default.svc.cluster.local");
  REQUIRE(back->answers.size() == 6);
  CHECK(std::get<Address>(back->answers[0].data).text == "10.43.0.7");
  CHECK(std::get<Address>(back->answers[1].data).text == "fd00::1");
  CHECK(std::get<Name>(back->answers[2].data).name == "web.default.svc.cluster.local");
  CHECK(std::get<Srv>(back->answers[3].data).port == 80);
  CHECK(std::get<Srv>(back->answers[3].data).target == "web.default.svc.cluster.local");
  CHECK(std::get<Txt>(back->answers[4].data).strings == std::vector<std::string>{"a b", ""});
  CHECK(std::get<Raw>(back->answers[5].data).bytes == "\x01\x02");
  CHECK(std::get<Soa>(back->authorities[0].data).minimum == 5);
  CHECK(write(*back) == bytes);
}

TEST_CASE("a DNS answer that does not fit says so and stays whole") {
  Message m = sample();
  for (size_t limit = 512; limit >= 60; limit -= 7) {
    std::string bytes = write(m, limit);
    CHECK(bytes.size() <= limit);
    auto back = parse(bytes);
    REQUIRE(back.ok());
    CHECK(back->truncated == (back->answers.size() + back->authorities.size() < 7));
  }
}

TEST_CASE("hostile DNS messages are refused") {
  std::string head = raw({0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  std::string tail = raw({0, 1, 0, 1});
  std::string long_name;
  for (int i = 0; i < 5; i++) long_name += raw({63}) + std::string(63, 'a');
  for (const std::string& bytes :
       {std::string(), head, head + raw({0xc0, 12}) + tail, head + raw({0xc0, 0xff}) + tail,
        head + raw({1, 'a', 0xc0, 12}) + tail, head + raw({0xc0}), head + raw({3, 'a'}),
        head + raw({0x80, 'a', 0}) + tail, head + long_name + raw({0}) + tail,
        head + raw({1, 'a', 0, 0, 1})}) {
    CHECK_FALSE(parse(bytes).ok());
  }
  CHECK(parse(head + raw({1, 'a', 0}) + tail).ok());
}

TEST_CASE("odd bytes in labels are escaped, and come back") {
  std::string bytes =
      raw({0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 'a', '.', '\\', 7, 0, 0, 1, 0, 1});
  auto m = parse(bytes);
  REQUIRE(m.ok());
  CHECK(m->questions[0].name == "a\\.\\\\\\007");
  CHECK(write(*m) == bytes);
}

TEST_CASE("reverse names") {
  CHECK(reverse_name("10.1.2.3") == "3.2.1.10.in-addr.arpa");
  CHECK(reverse_address("3.2.1.10.IN-ADDR.ARPA") == "10.1.2.3");
  CHECK(reverse_address(reverse_name("fd00::1:2")) == "fd00::1:2");
  for (const char* bad : {"1.2.3.in-addr.arpa", "x.2.1.10.in-addr.arpa", "a.b.c.d.e.f", ""}) {
    CHECK(reverse_address(bad).empty());
  }
  CHECK(reverse_name("nonsense").empty());
}
