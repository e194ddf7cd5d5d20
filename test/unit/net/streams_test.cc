// WebSocket and SPDY: the codecs against themselves, the connections over real sockets.
#include <catch2/catch.hpp>

#include "net/client.h"
#include "net/server.h"
#include "net/spdy.h"
#include "net/spdy_dictionary.h"
#include "net/websocket.h"

using namespace knarr;
using namespace knarr::net;
using Kind = WebSocketMessage::Kind;

namespace {

// A peer that never reads.
class Stuck final : public ByteStream {
 public:
  Events events;
  size_t queued = 0;
  bool paused = false;
  void listen(Events e) override { events = std::move(e); }
  bool write(Buffers bytes) override {
    queued += bytes.size();
    return queued <= 256 * 1024;
  }
  size_t queued_bytes() const override { return queued; }
  void finish() override {}
  void pause() override { paused = true; }
  void resume() override { paused = false; }
};

struct Upgrading {
  base::Loop loop;
  Server server{loop};
  Client client{loop};
  std::unique_ptr<Call> call;
  std::unique_ptr<ByteStream> stream;  // the client's end
  explicit Upgrading(Handler handler) {
    REQUIRE(server.listen("127.0.0.1", 0, std::nullopt, std::move(handler)).ok());
  }
  Response upgrade(Headers headers) {
    ClientRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(server.port()) + "/";
    request.headers = std::move(headers);
    std::optional<Result<Response>> answer;
    call = client.upgrade(std::move(request), [&](Result<Response> r) { answer = std::move(r); });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, 5000));
    REQUIRE(answer->ok());
    return std::move(**answer);
  }
};

std::string hex(std::initializer_list<int> bytes) {
  std::string out;
  for (int b : bytes) out += static_cast<char>(b);
  return out;
}

}  // namespace

TEST_CASE("WebSocket messages of any size pass, however they are cut") {
  for (size_t size : {0, 1, 125, 126, 65535, 65536, 100000}) {
    WebSocketCodec client(WebSocketCodec::Role::kClient, 1 << 20);
    WebSocketCodec server(WebSocketCodec::Role::kServer, 1 << 20);
    client.queue({Kind::kBinary, std::string(size, 'm'), 0});
    client.queue({Kind::kPing, "p", 0});
    std::string bytes = client.output();
    std::vector<WebSocketMessage> got;
    for (size_t at = 0; at < bytes.size(); at += 999) {
      auto part = server.feed(std::string_view(bytes).substr(at, 999));
      REQUIRE(part.ok());
      for (auto& m : *part) got.push_back(m);
    }
    REQUIRE(got.size() == 2);
    CHECK(got[0].data == std::string(size, 'm'));
    auto pong = client.feed(server.output());
    REQUIRE(pong.ok());
    CHECK(pong->at(0).kind == Kind::kPong);
  }
}

TEST_CASE("WebSocket: what breaks the rules is answered with its close code") {
  struct Case {
    std::string bytes;  // from a server, to a client: not masked
    int code;
  };
  for (const Case& c : std::vector<Case>{
           {hex({0xc2, 0}), 1002},                     // reserved bit
           {hex({0x82, 0x80, 0, 0, 0, 0}), 1002},      // masked by a server
           {hex({0x80, 0}), 1002},                     // continues nothing
           {hex({0x02, 1, 'a', 0x82, 1, 'b'}), 1002},  // begins anew in the middle
           {hex({0x09, 0}), 1002},                     // a control frame in fragments
           {hex({0x89, 126, 0, 126}), 1002},           // a control frame too long
           {hex({0x83, 0}), 1002},                     // unknown opcode
           {hex({0x81, 1, 0xff}), 1007},               // not UTF-8
           {hex({0x82, 126, 1, 0}), 1009},             // past the limit
           {hex({0x88, 1, 0}), 1002},                  // half a close code
           {hex({0x88, 2, 3, 0xed}), 1002},            // 1005 on the wire
       }) {
    WebSocketCodec client(WebSocketCodec::Role::kClient, 100);
    CHECK_FALSE(client.feed(c.bytes).ok());
    WebSocketCodec server(WebSocketCodec::Role::kServer, 100);
    auto close = server.feed(client.output());
    REQUIRE(close.ok());
    REQUIRE(close->size() == 1);
    CHECK(close->at(0).close_code == c.code);
  }
}

TEST_CASE("WebSocket: fragments join, with control frames between them") {
  WebSocketCodec client(WebSocketCodec::Role::kClient, 100);
  auto got = client.feed(hex({0x01, 2, 0xc3, 0xa4, 0x89, 0, 0x80, 1, 'b'}));
  REQUIRE(got.ok());
  REQUIRE(got->size() == 2);
  CHECK(got->at(1).data ==
        "\xc3\xa4"
        "b");
  CHECK(got->at(1).kind == Kind::kText);
}

TEST_CASE("pings of a peer that does not read are answered within bounds") {
  auto stuck = std::make_unique<Stuck>();
  Stuck& peer = *stuck;
  SECTION("WebSocket") {
    WebSocket socket(std::move(stuck), WebSocketCodec::Role::kServer, "", 1000);
    socket.listen({});
    WebSocketCodec client(WebSocketCodec::Role::kClient, 1000);
    client.queue({Kind::kPing, std::string(125, 'p'), 0});
    std::string ping = client.output();
    for (int i = 0; i < 10000; i++) peer.events.on_data(ping);
    CHECK(peer.queued > 0);
    CHECK(peer.queued < 300 * 1024);
    size_t before = peer.queued;
    socket.close(1000, "");
    CHECK(peer.queued > before);
  }
  SECTION("SPDY") {
    SpdyConnection session(std::move(stuck), SpdyConnection::Role::kServer);
    session.listen({});
    SpdyCodec client;
    SpdyFrame ping;
    ping.kind = SpdyFrame::Kind::kPing;
    ping.stream = 1;
    std::string bytes = client.encode(ping);
    for (int i = 0; i < 100000; i++) peer.events.on_data(bytes);
    CHECK(peer.queued > 0);
    CHECK(peer.queued < 300 * 1024);
  }
}

TEST_CASE("SPDY: who makes us answer and does not read is not read") {
  auto stuck = std::make_unique<Stuck>();
  Stuck& peer = *stuck;
  SpdyConnection session(std::move(stuck), SpdyConnection::Role::kServer);
  session.listen({});
  SpdyCodec client;
  SpdyFrame syn;
  syn.kind = SpdyFrame::Kind::kSynStream;
  syn.stream = 2;  // a server's: refused with RST_STREAM
  auto flood = [&] {
    for (int i = 0; i < 100000 && !peer.paused; i++) peer.events.on_data(client.encode(syn));
  };
  flood();
  CHECK(peer.paused);
  CHECK(peer.queued < 300 * 1024);
  peer.queued = 0;
  peer.events.on_drain();
  CHECK_FALSE(peer.paused);
  flood();
  CHECK(peer.paused);
}

TEST_CASE("WebSocket channels are byte streams, and half-close by signal") {
  std::unique_ptr<WebSocketChannels> channels;
  std::vector<std::unique_ptr<ByteStream>> at_server;
  std::string got;
  bool ended = false;
  Upgrading u([&](ExchangePtr exchange) {
    CHECK(offered_subprotocols(exchange->request) == std::vector<std::string>{"v9", "v5"});
    auto socket = accept_websocket(*exchange, "v5");
    REQUIRE(socket.ok());
    channels = std::make_unique<WebSocketChannels>(std::move(*socket), 3, true);
    for (int i = 0; i < 3; i++) at_server.push_back(channels->channel(i));
    channels.reset();
    ByteStream::Events events;
    events.on_data = [&](std::string_view bytes) { got += bytes; };
    events.on_end = [&] { ended = true; };
    at_server[0]->listen(std::move(events));
    at_server[1]->write("out");
  });
  std::string key = "dGhlIHNhbXBsZSBub25jZQ==";
  Response r = u.upgrade(websocket_request_headers(key, {"v9", "v5"}));
  REQUIRE(r.status == 101);
  CHECK(r.headers.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(r.headers.get("sec-websocket-protocol") == "v5");
  WebSocket client(std::move(r.stream), WebSocketCodec::Role::kClient, "v5", 1 << 20);
  std::string from_server;
  int code = 0;
  client.listen({[&](std::string_view bytes, bool) { from_server += bytes; },
                 {},
                 [&](uint16_t c, std::string_view) { code = c; }});
  client.send(hex({0, 'i', 'n'}));
  client.send(hex({255, 0}));
  REQUIRE(u.loop.run_until([&] { return ended && !from_server.empty(); }, 5000));
  CHECK(got == "in");
  CHECK(from_server == hex({1, 'o', 'u', 't'}));
  at_server[2]->finish();
  at_server.clear();
  REQUIRE(u.loop.run_until([&] { return code != 0; }, 5000));
  CHECK(code == 1000);
  CHECK(from_server.size() == 4);  // kubectl complains of a signal that a server sends
}

TEST_CASE("a request that is no WebSocket handshake is not taken") {
  std::string said;
  Upgrading u([&](ExchangePtr exchange) {
    auto socket = accept_websocket(*exchange, "");
    said = socket.ok() ? "accepted" : socket.error().message;
    if (!socket.ok()) exchange->respond(400, {}, "no");
  });
  Response r = u.upgrade({{"Connection", "Upgrade"}, {"Upgrade", "websocket"}});
  CHECK(r.status == 400);
  CHECK(r.body == "no");
  CHECK(said == "unsupported websocket version");
}

TEST_CASE("SPDY frames survive a round trip, headers compressed over many of them") {
  CHECK(spdy_dictionary().size() == 1423);
  SpdyCodec a, b;
  std::string bytes;
  for (uint32_t i = 1; i < 100; i += 2) {
    SpdyFrame syn;
    syn.kind = SpdyFrame::Kind::kSynStream;
    syn.stream = i;
    syn.headers = {{"streamType", "error"}, {"port", std::to_string(i)}, {"requestID", "0"}};
    bytes += a.encode(syn);
    SpdyFrame data;
    data.stream = i;
    data.data = std::string(i * 100, 'd');
    data.fin = true;
    bytes += a.encode(data);
  }
  size_t syns = 0, data = 0, fins = 0;
  for (size_t at = 0; at < bytes.size(); at += 777) {
    auto frames = b.feed(std::string_view(bytes).substr(at, 777));
    REQUIRE(frames.ok());
    for (const SpdyFrame& f : *frames) {
      data += f.data.size();
      fins += f.fin;
      if (f.kind != SpdyFrame::Kind::kSynStream) continue;
      syns++;
      CHECK(f.headers.get("streamtype") == "error");
      CHECK(f.headers.get("port") == std::to_string(f.stream));
    }
  }
  CHECK(syns == 50);
  CHECK(data == 250000);
  CHECK(fins == 50);
}

TEST_CASE("SPDY: a name counts once for each of its values") {
  SpdyFrame syn;
  syn.kind = SpdyFrame::Kind::kSynStream;
  syn.stream = 1;
  for (size_t name : {1, 100000}) {
    SpdyCodec a, b;
    syn.headers = Headers();
    syn.headers.add(std::string(name, 'n'), std::string(100000, '\0'));
    CHECK_FALSE(b.feed(a.encode(syn)).ok());
  }
}

TEST_CASE("SPDY streams carry bytes both ways, half-close, reset and hold back") {
  std::unique_ptr<SpdyConnection> session;
  std::vector<std::unique_ptr<SpdyStream>> at_server;
  std::string got;
  Upgrading u([&](ExchangePtr exchange) {
    auto accepted = accept_spdy(*exchange);
    REQUIRE(accepted.ok());
    session = std::move(*accepted);
    session->listen(
        {[&](std::unique_ptr<SpdyStream> stream) { at_server.push_back(std::move(stream)); }, {}});
  });
  Response r = u.upgrade({{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}});
  REQUIRE(r.stream != nullptr);
  SpdyConnection client(std::move(r.stream), SpdyConnection::Role::kClient);
  client.listen({});
  auto in = client.open({{"streamtype", "stdin"}});
  auto out = client.open({{"streamtype", "stdout"}});
  in->write("hello");
  in->finish();
  REQUIRE(u.loop.run_until([&] { return at_server.size() == 2; }, 5000));
  CHECK(at_server[0]->headers().get("streamType") == "stdin");
  bool ended = false;
  ByteStream::Events events;
  events.on_data = [&](std::string_view bytes) { got += bytes; };
  events.on_end = [&] { ended = true; };
  u.loop.run_until([] { return false; }, 10);
  at_server[0]->listen(std::move(events));
  CHECK(got.empty());
  REQUIRE(u.loop.run_until([&] { return ended; }, 5000));
  CHECK(got == "hello");

  size_t received = 0;
  bool reset = false;
  ByteStream::Events reading;
  reading.on_data = [&](std::string_view bytes) {
    if (received == 0) out->pause();
    received += bytes.size();
  };
  reading.on_close = [&](const Error&) { reset = true; };
  out->listen(std::move(reading));
  std::string block(100000, 'b');
  size_t sent = 0;
  while (sent < 200 && at_server[1]->write(block)) {
    sent++;
    u.loop.run_until([n = 0]() mutable { return ++n > 3; }, 50);
  }
  CHECK(sent > 2);
  CHECK(sent < 200);
  CHECK(received < 200000);
  out->resume();
  REQUIRE(u.loop.run_until([&] { return received >= sent * 100000; }, 5000));
  at_server.pop_back();
  REQUIRE(u.loop.run_until([&] { return reset; }, 5000));
  at_server.clear();
  session.reset();
}
