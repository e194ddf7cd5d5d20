#include "net/server.h"

#include <catch2/catch.hpp>

#include "raw_peer.h"

using namespace knarr;
using namespace knarr::net;

namespace {

// Answers what it was asked.
void echo(ExchangePtr exchange) {
  Request& r = exchange->request;
  std::string text = r.method + " " + r.path + " " + r.query + " " + r.body;
  exchange->respond(200, {{"Content-Type", "text/plain"}}, std::move(text));
}

struct Fixture {
  base::Loop loop;
  Server server;
  explicit Fixture(Handler handler = echo, ServerLimits limits = {}) : server(loop, limits) {
    REQUIRE(server.serve(std::nullopt, std::move(handler)).ok());
  }
};

}  // namespace

TEST_CASE("HTTP/1.1: a request is answered, and the next on the same connection") {
  Fixture f;
  RawPeer peer(f.loop, f.server);
  peer.send("GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(peer.wait_for("GET /a%20b x=1 "));
  CHECK(peer.received.find("HTTP/1.1 200 OK\r\nDate: ") == 0);
  CHECK(peer.received.find("Content-Length: 15\r\n") != std::string::npos);
  peer.send("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  REQUIRE(peer.wait_for("POST /b  abc"));
  peer.send(
      "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
  REQUIRE(peer.wait_for("PUT /c  abc"));
  CHECK_FALSE(peer.ended);
}

TEST_CASE("HTTP/1.1: it does not matter how the bytes are cut") {
  std::string text =
      "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
      "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
      "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
  for (size_t step : {1, 2, 3, 7, 1000}) {
    Fixture f;
    RawPeer peer(f.loop, f.server);
    for (size_t at = 0; at < text.size(); at += step) {
      peer.send(text.substr(at, step));
      f.loop.run_until([n = 0]() mutable { return ++n > 2; }, 1000);
    }
    REQUIRE(peer.wait_for_end());
    CHECK(peer.received.find("POST /b  abc") < peer.received.find("PUT /c  de"));
    CHECK(peer.received.find("PUT /c  de") < peer.received.find("GET /last"));
    CHECK(peer.received.find("Connection: close") != std::string::npos);
  }
}

TEST_CASE("HTTP/1.1: what is not a request, or too much of one, is refused") {
  ServerLimits limits;
  limits.header_bytes = 1024;
  limits.body_bytes = 16;
  struct Case {
    std::string request;
    std::string status;
  };
  std::string many(2000, 'x');
  for (const Case& c : std::vector<Case>{
           {"nonsense\r\n\r\n", "400"},
           {"GET / HTTP/1.1\r\n\r\n", "400"},
           {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
           {"GET foo HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
           {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400"},
           {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "400"},
           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"},
           {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
           {"GET /" + many + " HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
           {"GET / HTTP/1.1\r\nHost: a\r\nX: " + many + "\r\n\r\n", "431"},
           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n", "413"},
           {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n"
            "12345678901234567\r\n0\r\n\r\n",
            "413"},
       }) {
    Fixture f(echo, limits);
    RawPeer peer(f.loop, f.server);
    peer.send(c.request);
    INFO(c.request.substr(0, 60));
    REQUIRE(peer.wait_for_end());
    CHECK(peer.received.substr(0, 12) == "HTTP/1.1 " + c.status);
  }
}

TEST_CASE("HTTP/1.1: a body that is waited for is asked for") {
  Fixture f;
  RawPeer peer(f.loop, f.server);
  peer.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  REQUIRE(peer.wait_for("HTTP/1.1 100 Continue\r\n\r\n"));
  peer.send("ok");
  REQUIRE(peer.wait_for("POST /  ok"));
}

TEST_CASE("HTTP/1.1: HEAD has the length and no body; HTTP/1.0 closes") {
  Fixture f;
  RawPeer peer(f.loop, f.server);
  peer.send("HEAD /x HTTP/1.0\r\n\r\n");
  REQUIRE(peer.wait_for_end());
  CHECK(peer.received.find("Content-Length: 9\r\n") != std::string::npos);
  CHECK(peer.received.substr(peer.received.size() - 4) == "\r\n\r\n");
}

TEST_CASE("HTTP/1.1: a stream is chunked, holds back, and tells when the peer leaves") {
  ExchangePtr kept;
  Fixture f([&](ExchangePtr exchange) { kept = std::move(exchange); });
  auto peer = std::make_unique<RawPeer>(f.loop, f.server);
  peer->send("GET /watch HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(f.loop.run_until([&] { return kept != nullptr; }, 5000));
  bool gone = false;
  bool drained = false;
  kept->on_close([&] { gone = true; });
  kept->on_drain([&] { drained = true; });
  kept->start(200, {});
  CHECK(kept->write("hello"));
  REQUIRE(peer->wait_for("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
  peer->stream->pause();
  auto event = std::make_shared<const std::string>(100000, 'e');
  int writes = 0;
  while (kept->write(event)) {
    writes++;
    f.loop.run_until([n = 0]() mutable { return ++n > 2; }, 1000);
  }
  CHECK(writes < 20);
  CHECK_FALSE(drained);
  peer->stream->resume();
  REQUIRE(f.loop.run_until([&] { return drained; }, 5000));
  CHECK(kept->open());
  peer.reset();
  REQUIRE(f.loop.run_until([&] { return gone; }, 5000));
  CHECK_FALSE(kept->open());
  CHECK_FALSE(kept->write("into the void"));
}

TEST_CASE("an exchange that is dropped unanswered is a 500, or visibly cut") {
  Fixture f([](ExchangePtr exchange) {
    if (exchange->request.path == "/half") exchange->start(200, {});
  });
  RawPeer peer(f.loop, f.server);
  peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /half HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(peer.wait_for_end());
  CHECK(peer.received.find("HTTP/1.1 500 Internal Server Error") == 0);
  CHECK(peer.received.find("HTTP/1.1 200 OK") != std::string::npos);
  CHECK(peer.received.find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("header values cannot end the header") {
  Fixture f([](ExchangePtr exchange) {
    exchange->respond(200, {{"X", "a\r\nSet-Cookie: b"}}, "");
  });
  RawPeer peer(f.loop, f.server);
  peer.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(peer.wait_for("X: a  Set-Cookie: b\r\n"));
}

TEST_CASE("timeouts end what does not get on") {
  ServerLimits limits;
  limits.header_timeout_ms = limits.body_timeout_ms = limits.idle_timeout_ms =
      limits.handshake_timeout_ms = 20;
  for (const char* part :
       {"", "GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    Fixture f(echo, limits);
    RawPeer peer(f.loop, f.server);
    if (*part != 0) peer.send(part);
    CHECK(peer.wait_for_end());
    peer.stream.reset();
    CHECK(f.loop.run_until([&] { return f.server.connections() == 0; }, 5000));
  }
}

TEST_CASE("an upgraded connection carries bytes, those that came early too") {
  std::unique_ptr<ByteStream> upgraded;
  std::string got;
  Fixture f([&](ExchangePtr exchange) {
    auto stream = exchange->upgrade({{"Connection", "Upgrade"}, {"Upgrade", "x"}});
    REQUIRE(stream.ok());
    upgraded = std::move(*stream);
    ByteStream::Events events;
    events.on_data = [&](std::string_view bytes) { got += bytes; };
    upgraded->listen(std::move(events));
  });
  RawPeer peer(f.loop, f.server);
  peer.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly");
  REQUIRE(peer.wait_for("HTTP/1.1 101 Switching Protocols\r\n"));
  peer.send(" late");
  REQUIRE(f.loop.run_until([&] { return got == "early late"; }, 5000));
  CHECK(f.server.connections() == 0);
  upgraded->write("bye");
  upgraded->finish();
  upgraded.reset();
  REQUIRE(peer.wait_for_end());
  CHECK(peer.received.substr(peer.received.size() - 3) == "bye");
}

TEST_CASE("drain waits for answers, and for them no longer than told") {
  ExchangePtr kept;
  Fixture f([&](ExchangePtr exchange) { kept = std::move(exchange); });
  RawPeer idle(f.loop, f.server);
  RawPeer busy(f.loop, f.server);
  busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(f.loop.run_until([&] { return kept != nullptr; }, 5000));
  bool drained = false;
  SECTION("answered") {
    f.server.drain(60000, [&] { drained = true; });
    REQUIRE(idle.wait_for_end());
    CHECK_FALSE(drained);
    kept->respond(200, {}, "done");
    REQUIRE(busy.wait_for_end());
    CHECK(busy.received.find("Connection: close") != std::string::npos);
  }
  SECTION("never answered") {
    f.server.drain(20, [&] { drained = true; });
    REQUIRE(busy.wait_for_end());
  }
  SECTION("upgraded") {
    auto upgraded = kept->upgrade({{"Connection", "Upgrade"}, {"Upgrade", "x"}});
    REQUIRE(upgraded.ok());
    std::unique_ptr<ByteStream> stream = std::move(*upgraded);
    bool alive_when_told = true;
    ByteStream::Events events;
    events.on_close = [&](const Error&) { stream.reset(); };
    stream->listen(std::move(events));
    f.server.drain(60000, [&] {
      alive_when_told = stream != nullptr;
      drained = true;
    });
    REQUIRE(busy.wait_for_end());
    REQUIRE(f.loop.run_until([&] { return drained; }, 5000));
    CHECK_FALSE(alive_when_told);
  }
  busy.stream.reset();
  REQUIRE(f.loop.run_until([&] { return drained; }, 5000));
}
