// Packets of nodes that are there as streams.
#include "server/http/packet_relay.h"

#include <catch2/catch.hpp>

#include "base/format.h"
#include "base/loop.h"
#include "net/dial.h"
#include "unit/agent_proxy/fake_watch_client.h"

using namespace knarr;
using namespace knarr::server;

namespace {

constexpr int64_t kPatienceMs = 20'000;

// A header of which only what the relay looks at is filled in, and a payload.
std::string packet(const std::string& from, const std::string& to, const std::string& payload) {
  api::IpAddress source = *api::IpAddress::parse(from), destination = *api::IpAddress::parse(to);
  size_t size = source.v6 ? 16 : 4;
  std::string out(source.v6 ? 8 : 12, '\0');
  out[0] = source.v6 ? 0x60 : 0x45;
  for (const auto& address : {source, destination}) {
    out.append(reinterpret_cast<const char*>(address.bytes.data()), size);
  }
  return out + payload;
}

std::string node_json(const std::string& name, const std::string& ranges) {
  return fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"podCIDRs":[{}]}}}})", name, ranges);
}

struct FakeNode {
  void listen(std::unique_ptr<net::ByteStream> s) {
    stream = std::move(s);
    stream->listen({[this](std::string_view bytes) {
                      frames.add(bytes);
                      while (auto next = frames.next()) got.emplace_back(*next);
                    },
                    [this] { cut = true; },
                    {},
                    [this](const Error&) { cut = true; }});
  }
  void send(const std::vector<std::string>& packets) {
    std::string out;
    for (const std::string& p : packets) net::append_frame(out, p);
    stream->write(std::move(out));
  }
  std::unique_ptr<net::ByteStream> stream;
  net::FrameReader frames;
  std::vector<std::string> got;
  bool cut = false;
};

struct Fixture {
  base::Loop loop;
  agent::FakeWatchClient client;
  std::vector<std::string> asked;
  PacketRelay relay{client, loop, [this](const std::string& node) { asked.push_back(node); }};

  void join(const std::string& name, FakeNode& node) {
    auto pair = net::stream_pair(loop);
    REQUIRE(pair.ok());
    relay.accept(name, std::move(pair->first));
    node.listen(std::move(pair->second));
    client.put("nodes", node_json("a", R"("10.42.0.0/24","fd00:42::/64")"));
    client.put("nodes", node_json("b", R"("10.42.1.0/24","fd00:42:0:1::/64")"));
    client.put("nodes", node_json("c", R"("10.42.3.0/24")"));
  }
  void until(const std::function<bool()>& condition) {
    REQUIRE(loop.run_until(condition, kPatienceMs));
  }
};

}  // namespace

TEST_CASE("addresses of packets") {
  CHECK(!packet_addresses(""));
  CHECK(!packet_addresses(std::string(60, '\x50')));
  std::string v4 = packet("10.0.0.1", "10.0.0.2", ""), v6 = packet("fd00::1", "fd00::2", "");
  CHECK(packet_addresses(v4)->source.text() == "10.0.0.1");
  CHECK(packet_addresses(v4)->destination.text() == "10.0.0.2");
  CHECK(packet_addresses(v6)->source.text() == "fd00::1");
  CHECK(packet_addresses(v6)->destination.text() == "fd00::2");
  for (std::string cut : {v4, v6}) {
    cut.pop_back();
    CHECK(!packet_addresses(cut));
  }
}

TEST_CASE("a packet goes to the node whose range it is for, from one of the sender's") {
  Fixture f;
  FakeNode a, b;
  f.join("a", a);
  f.join("b", b);
  const std::string good4 = packet("10.42.0.7", "10.42.1.255", "four");
  const std::string good6 = packet("fd00:42::7", "fd00:42:0:1::9", "six");
  a.send({packet("10.42.1.7", "10.42.1.8", "another's source"),
          packet("192.0.2.1", "10.42.1.8", "nobody's source"),
          packet("10.42.0.7", "10.42.0.8", "its own"), packet("10.42.0.7", "10.42.2.1", "to none"),
          packet("10.42.0.7", "9.255.255.255", "below all"),
          packet("fd00:42::7", "fd00:42:0:2::9", "to none"), "no packet", "", good4, good6});
  f.until([&] { return b.got.size() >= 2; });
  CHECK(b.got == std::vector<std::string>{good4, good6});
  b.send({packet("10.42.1.8", "10.42.0.7", std::string(60000, 'x'))});
  f.until([&] { return a.got.size() == 1; });
  CHECK(a.got[0].size() == 60020);
  CHECK(f.asked.empty());
}

TEST_CASE("a node that has no stream is asked for one, not too often") {
  Fixture f;
  FakeNode a, c;
  f.join("a", a);
  const std::string to_c = packet("10.42.0.7", "10.42.3.1", "hello");
  a.send({to_c, to_c});
  f.until([&] { return !f.asked.empty(); });
  CHECK(f.asked == std::vector<std::string>{"c"});
  f.join("c", c);
  a.send({to_c});
  f.until([&] { return c.got.size() == 1; });
  CHECK(f.asked.size() == 1);
  // It moves to another range.
  f.client.put("nodes", node_json("c", R"("10.42.4.0/24")"));
  a.send({to_c, packet("10.42.0.7", "10.42.4.1", "there")});
  f.until([&] { return c.got.size() == 2; });
  CHECK(c.got[1].ends_with("there"));
}

TEST_CASE("a range that two nodes claim is the first one's") {
  Fixture f;
  FakeNode a, b, z;
  f.join("a", a);
  f.join("b", b);
  f.join("z", z);
  // All of b's, its second half, and all addresses there are.
  for (const char* claimed : {R"("10.42.1.0/24")", R"("10.42.1.128/25")", R"("0.0.0.0/0")"}) {
    f.client.put("nodes", node_json("z", claimed));
    z.send({packet("10.42.1.200", "10.42.0.7", "as one of b's")});
    a.send({packet("10.42.0.7", "10.42.1.200", claimed)});
  }
  f.until([&] { return b.got.size() == 3; });
  CHECK(z.got.empty());
  CHECK(a.got.empty());
}

TEST_CASE("a newer stream takes the place of the older") {
  Fixture f;
  FakeNode a, b, again;
  f.join("a", a);
  f.join("b", b);
  f.join("b", again);
  f.until([&] { return b.cut; });
  a.send({packet("10.42.0.7", "10.42.1.8", "x")});
  f.until([&] { return again.got.size() == 1; });
  // The last one takes the watch with it, and the next begins anew.
  a.stream.reset();
  again.stream.reset();
  f.loop.run_until([] { return false; }, 20);
  FakeNode more;
  f.join("a", more);
  f.join("b", again);
  more.send({packet("10.42.0.7", "10.42.1.8", "y")});
  f.until([&] { return again.got.size() == 2; });
}

TEST_CASE("what a node does not take is lost, and holds up nobody") {
  Fixture f;
  FakeNode a, b;
  f.join("a", a);
  f.join("b", b);
  b.stream->pause();
  const std::string big = packet("10.42.0.7", "10.42.1.8", std::string(60000, 'x'));
  constexpr int kSent = 200;  // 12 MB
  for (int i = 0; i < kSent; i++) a.send({big});
  f.until([&] { return a.stream->queued_bytes() == 0; });
  f.loop.run_until([] { return false; }, 50);
  b.stream->resume();
  f.loop.run_until([] { return false; }, 50);
  CHECK(!b.got.empty());
  CHECK(b.got.size() < kSent / 2);
}
