// Peers that ask for more than they let go: limits, deadlines and back pressure of the server.
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "net/server.h"
#include "raw_peer.h"

using namespace knarr;
using namespace knarr::net;

namespace {

// Answers with the body, keeps what is asked of /watch.
struct Fixture {
  base::Loop loop;
  Server server;
  std::vector<ExchangePtr> kept;
  int requests = 0;
  explicit Fixture(ServerLimits limits = {}) : server(loop, limits) {
    REQUIRE(server.serve(std::nullopt, [this](ExchangePtr exchange) { answer(exchange); }).ok());
  }
  void answer(const ExchangePtr& exchange) {
    requests++;
    const Request& r = exchange->request;
    if (r.path == "/watch") {
      exchange->start(200, {});
      exchange->write("begun");
      kept.push_back(exchange);
      return;
    }
    std::string text = "got " + r.body + " from " + std::string(r.headers.get("authorization"));
    if (r.path == "/long") text = std::string(100000, 'l');
    exchange->respond(200, {}, std::move(text));
  }
};

constexpr uint8_t kData = 0, kHeaders = 1, kSettings = 4;
constexpr uint8_t kEndStream = 1, kEndHeaders = 4;

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  std::string out;
  for (int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  return out + payload;
}

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, "");
// HPACK: :method and :scheme from the static table, :path and :authority in words.
const std::string kPost = "\x83\x86\x04\x02/p\x01\x01h";
const std::string kWatch = "\x82\x86\x04\x06/watch\x01\x01h";
const std::string kNoPath =
    "\x82\x06\x03"
    "foo\x04\x03"
    "bar\x01\x01h";

std::string post(uint32_t stream, uint8_t flags = kEndHeaders) {
  return frame(kHeaders, flags, stream, kPost);
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) n++;
  return n;
}

void turns(base::Loop& loop, int n) {
  auto run_out = [&] {
    loop.defer([] {});  // this turn does not wait
    return --n < 0;
  };
  loop.run_until(run_out, 1000);
}

}  // namespace

TEST_CASE("HTTP/1.1: chunk headers and trailers have the head's limit") {
  ServerLimits limits;
  limits.header_bytes = 1024;
  for (const std::string& endless : {"1;x=" + std::string(2000, 'x'), std::string(2000, '0'),
                                     "0\r\nX: " + std::string(2000, 'x')}) {
    Fixture f(limits);
    RawPeer peer(f.loop, f.server);
    peer.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer.send(endless);
    INFO(endless.substr(0, 10));
    REQUIRE(peer.wait_for_end());
    CHECK(peer.received.substr(0, 10) == "HTTP/1.1 4");
  }
}

TEST_CASE("HTTP/1.1: a trailer is no header") {
  Fixture f;
  RawPeer peer(f.loop, f.server);
  peer.send(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n"
      "1\r\na\r\n0\r\nAuthorization: nobody\r\n\r\n");
  REQUIRE(peer.wait_for("got a from "));
  CHECK(peer.received.find("nobody") == std::string::npos);
}

TEST_CASE("HTTP/1.1: pipelined requests wait while their answers are not read") {
  Fixture f;
  RawPeer peer(f.loop, f.server);
  peer.stream->pause();
  std::string all;
  for (int i = 0; i < 100; i++) all += "GET /long HTTP/1.1\r\nHost: h\r\n\r\n";
  peer.send(all);
  REQUIRE(f.loop.run_until([&] { return f.requests > 0; }, 5000));
  turns(f.loop, 50);
  CHECK(f.requests < 20);
  peer.stream->resume();
  REQUIRE(f.loop.run_until([&] { return f.requests == 100; }, 5000));
  REQUIRE(f.loop.run_until([&] { return peer.received.size() > 100 * 100000; }, 5000));
  peer.send("GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(peer.wait_for("got  from "));
}

TEST_CASE("all connections together buffer no more than told") {
  ServerLimits limits;
  limits.buffered_bytes = 1000;
  Fixture f(limits);
  std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 800\r\n\r\n";
  RawPeer first(f.loop, f.server), second(f.loop, f.server), third(f.loop, f.server);
  first.send(head + std::string(799, 'a'));
  turns(f.loop, 5);
  second.send(head + std::string(799, 'b'));
  REQUIRE(second.wait_for_end());
  CHECK(second.received.find("HTTP/1.1 429 ") == 0);
  CHECK(second.received.find("Retry-After: 1\r\n") != std::string::npos);
  third.send(kPreface + post(1) + frame(kData, 0, 1, std::string(799, 'c')));
  REQUIRE(third.wait_for("429 Too Many Requests"));
  first.send("!");
  REQUIRE(first.wait_for("a! from "));
  third.send(post(3) + frame(kData, kEndStream, 3, std::string(799, 'c')));
  REQUIRE(third.wait_for("cc from "));
}

TEST_CASE("connections leave half of the descriptors to others") {
  base::Loop loop;
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit low = before;
  low.rlim_cur = 4;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
  Server server(loop);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(server.serve(std::nullopt, [](ExchangePtr) {}).ok());
  RawPeer first(loop, server), second(loop, server), third(loop, server);
  REQUIRE(third.wait_for_end());
  CHECK(server.connections() == 2);
}

TEST_CASE("HTTP/2: a body that has come leaves no deadline behind") {
  ServerLimits limits;
  limits.body_timeout_ms = 20;
  Fixture f(limits);
  RawPeer peer(f.loop, f.server), late(f.loop, f.server);
  peer.send(kPreface + frame(kHeaders, kEndHeaders | kEndStream, 1, kWatch));
  REQUIRE(peer.wait_for("begun"));
  peer.send(post(3));
  turns(f.loop, 5);
  peer.send(frame(kData, kEndStream, 3, "body"));
  REQUIRE(peer.wait_for("got body from "));
  // Whoever comes later and does not get on is refused later.
  late.send(kPreface + post(1));
  REQUIRE(late.wait_for("408 Request Timeout"));
  peer.send(post(5) + frame(kData, kEndStream, 5, "more"));
  REQUIRE(peer.wait_for("got more from "));
  CHECK(f.kept[0]->open());
}

TEST_CASE("HTTP/2: a head that does not end is waited for no longer than another") {
  ServerLimits limits;
  limits.header_timeout_ms = 20;
  Fixture f(limits);
  RawPeer peer(f.loop, f.server);
  peer.send(kPreface + frame(kHeaders, kEndHeaders | kEndStream, 1, kWatch));
  REQUIRE(peer.wait_for("begun"));
  peer.send(post(3, 0));
  REQUIRE(peer.wait_for_end());
  CHECK_FALSE(f.kept[0]->open());
}

TEST_CASE("HTTP/2: new requests give old ones no more time") {
  ServerLimits limits;
  limits.body_timeout_ms = 100;
  Fixture f(limits);
  RawPeer peer(f.loop, f.server);
  peer.send(kPreface);
  auto refused = [&] { return count(peer.received, "408 Request Timeout") > 0; };
  for (uint32_t stream = 1; stream < 100 && !refused(); stream += 2) {
    peer.send(post(stream));
    f.loop.run_until(refused, 40);
  }
  CHECK(refused());
}

TEST_CASE("HTTP/2: a request for no path is answered once") {
  Fixture f;
  RawPeer peer(f.loop, f.server);
  peer.send(kPreface + frame(kHeaders, kEndHeaders | kEndStream, 1, kNoPath));
  REQUIRE(peer.wait_for("400 Bad Request"));
  peer.send(post(3) + frame(kData, kEndStream, 3, "body"));
  REQUIRE(peer.wait_for("got body from "));
  CHECK(peer.received.find("Internal Server Error") == std::string::npos);
  CHECK(f.requests == 1);
}

TEST_CASE("HTTP/2: CONNECT is refused but in its extended form, and never lingers") {
  // :method CONNECT, :scheme http, :authority h, and :path /t, :protocol p where it has them.
  const std::string connect =
      "\x02\x07"
      "CONNECT";
  const std::string target = "\x86\x04\x02/t\x01\x01h";
  const std::string protocol = std::string("\x00\x09", 2) + ":protocol" + "\x01p";
  Fixture f;
  RawPeer peer(f.loop, f.server);
  peer.send(kPreface + frame(kHeaders, kEndHeaders | kEndStream, 1, connect + "\x01\x01h"));
  REQUIRE(peer.wait_for("400 Bad Request"));
  CHECK(f.requests == 0);
  // A GET with a protocol, a CONNECT with a path and none: reset, unseen.
  peer.send(frame(kHeaders, kEndHeaders | kEndStream, 3, "\x82" + protocol + target) +
            frame(kHeaders, kEndHeaders | kEndStream, 5, connect + target) + post(7) +
            frame(kData, kEndStream, 7, "body"));
  REQUIRE(peer.wait_for("got body from "));
  CHECK(f.requests == 1);
  // Ended by the peer from the start, or going on: refused, and gone.
  peer.send(frame(kHeaders, kEndHeaders | kEndStream, 9, connect + protocol + target) +
            frame(kHeaders, kEndHeaders, 11, connect + protocol + target) +
            frame(kData, 0, 11, std::string(10000, 'd')));
  REQUIRE(f.loop.run_until([&] { return f.requests == 3; }, 5000));
  bool drained = false;
  f.server.drain(60000, [&] { drained = true; });
  REQUIRE(f.loop.run_until([&] { return drained; }, 5000));
}
