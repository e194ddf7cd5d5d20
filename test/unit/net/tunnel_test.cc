// Extended CONNECT over HTTP/2: its streams at both ends, and what stands on them.
#include <catch2/catch.hpp>

#include "certificates.h"
#include "net/client.h"
#include "net/server.h"
#include "net/websocket.h"
#include "raw_peer.h"

using namespace knarr;
using namespace knarr::net;

namespace {

constexpr int64_t kPatience_ms = 10000;

// One end of a tunnel, and what it was told.
struct End {
  explicit End(std::unique_ptr<ByteStream> of) : stream(std::move(of)) { listen(); }
  void listen() {
    stream->listen({
        [this](std::string_view bytes) { received += bytes; },
        [this] { ended = true; },
        [this] { drains++; },
        [this](const Error& error) { closed = error; },
    });
  }
  std::unique_ptr<ByteStream> stream;
  std::string received;
  bool ended = false;
  int drains = 0;
  std::optional<Error> closed;
};

struct Fixture {
  base::Loop loop;
  std::unique_ptr<Server> server = std::make_unique<Server>(loop);
  std::unique_ptr<Client> client;
  std::vector<ExchangePtr> asked;            // not accepted by themselves
  std::vector<std::unique_ptr<End>> served;  // accepted, in their order
  std::vector<Request> requests;
  std::vector<std::unique_ptr<Call>> calls;
  bool accept = true;

  explicit Fixture(bool tls = true) {
    const TestCertificates& certs = test_certificates();
    std::optional<TlsConfig> config;
    if (tls)
      config.emplace(TlsConfig{certs.server_cert, certs.server_key, certs.ca, "", false, true});
    REQUIRE(server->listen("127.0.0.1", 0, config, [this](ExchangePtr e) { take(e); }).ok());
    origin = (tls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(server->port());
    options.tls.ca_pem = certs.ca;
    options.http2_prior_knowledge = !tls;
    client = std::make_unique<Client>(loop, options);
  }
  void take(const ExchangePtr& exchange) {
    requests.push_back(exchange->request);
    if (exchange->request.protocol.empty()) return exchange->respond(200, {}, "plain");
    if (!accept) return asked.push_back(exchange);
    auto stream = exchange->upgrade({{"X-Said", "yes"}});
    REQUIRE(stream.ok());
    served.push_back(std::make_unique<End>(std::move(*stream)));
  }
  void ask(const std::string& path, std::function<void(Result<Response>)> done) {
    ClientRequest request;
    request.url = origin + path;
    request.protocol = "test";
    calls.push_back(client->upgrade(std::move(request), std::move(done)));
  }
  Result<Response> ask(const std::string& path) {
    std::optional<Result<Response>> answer;
    ask(path, [&](Result<Response> r) { answer = std::move(r); });
    REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience_ms));
    return std::move(*answer);
  }
  End open(const std::string& path = "/t") {
    auto answer = ask(path);
    REQUIRE(answer.ok());
    REQUIRE(answer->stream);
    return End(std::move(answer->stream));
  }
  bool until(const std::function<bool()>& condition) {
    return loop.run_until(condition, kPatience_ms);
  }
  // Lets everything happen that is going to.
  void settle() {
    for (int i = 0; i < 20; i++) loop.run_until([n = 0]() mutable { return ++n > 1; }, 1000);
  }

  std::string origin;
  ClientOptions options;
};

}  // namespace

TEST_CASE("an extended CONNECT becomes a stream both ways") {
  for (bool tls : {true, false}) {
    Fixture f(tls);
    auto answer = f.ask("/t?a=b");
    REQUIRE(answer.ok());
    CHECK(answer->status == 200);
    CHECK(answer->headers.get("x-said") == "yes");
    CHECK(f.requests[0].method == "CONNECT");
    CHECK(f.requests[0].protocol == "test");
    CHECK(f.requests[0].path == "/t");
    CHECK(f.requests[0].query == "a=b");
    auto here = std::make_unique<End>(std::move(answer->stream));
    End& there = *f.served[0];
    here->stream->write("ping");
    REQUIRE(f.until([&] { return there.received == "ping"; }));
    there.stream->write("pong");
    REQUIRE(f.until([&] { return here->received == "pong"; }));
    // One end says no more; the other goes on.
    here->stream->finish();
    REQUIRE(f.until([&] { return there.ended; }));
    CHECK_FALSE(there.closed);
    std::string big(700000, 'b');
    there.stream->write(big);
    there.stream->finish();
    REQUIRE(f.until([&] { return here->ended && here->closed && there.closed; }));
    CHECK(here->received == "pong" + big);
    CHECK(here->closed->code == Code::kCanceled);
    CHECK_FALSE(there.stream->write("too late"));
    // Other requests share the connection.
    ClientRequest plain;
    plain.url = f.origin + "/plain";
    bool got = false;
    auto call = f.client->fetch(std::move(plain), [&](Result<Response> r) { got = r.ok(); });
    REQUIRE(f.until([&] { return got; }));
    CHECK(f.server->connections() == 1);
  }
}

TEST_CASE("a stalled tunnel holds up neither others nor memory") {
  Fixture f;
  auto stalled = f.open();
  auto lively = f.open();
  stalled.stream->pause();
  auto block = std::make_shared<const std::string>(100000, 'x');
  size_t sent = 0;
  // The first time the window takes most of it, then it is full: what is left waits at the sender.
  for (int round = 0; round < 2; round++) {
    bool more = true;
    while (more) {
      more = f.served[0]->stream->write(block);
      sent += block->size();
    }
    f.settle();
    CHECK(f.served[0]->drains == 1);
  }
  CHECK(sent < 1000000);
  CHECK(f.served[0]->stream->queued_bytes() > 256 * 1024);
  for (int i = 0; i < 30; i++) f.served[1]->stream->write(block);
  REQUIRE(f.until([&] { return lively.received.size() == 3000000; }));
  CHECK(stalled.received.empty());
  stalled.stream->resume();
  REQUIRE(f.until([&] { return stalled.received.size() == sent; }));
  CHECK(f.served[0]->drains == 2);
}

TEST_CASE("a paused tunnel gets the rest, then the end, even when both have ended") {
  Fixture f;
  auto here = f.open();
  here.stream->pause();
  here.stream->finish();
  f.served[0]->stream->write("the rest");
  f.served[0]->stream->finish();
  REQUIRE(f.until([&] { return f.served[0]->closed.has_value(); }));
  f.settle();
  CHECK(here.received.empty());
  CHECK_FALSE(here.ended);
  here.stream->resume();
  REQUIRE(f.until([&] { return here.closed.has_value(); }));
  CHECK(here.received == "the rest");
  CHECK(here.ended);
}

TEST_CASE("a tunnel that is let go sends what was written when it was finished, else breaks") {
  Fixture f;
  auto here = f.open();
  std::string big(900000, 'k');
  f.served[0]->stream->write(big);
  f.served[0]->stream->finish();
  f.served[0]->stream.reset();
  here.stream->write("nobody listens");
  REQUIRE(f.until([&] { return here.ended && here.closed; }));
  CHECK(here.received == big);
  CHECK(here.closed->code == Code::kCanceled);

  auto other = f.open();
  f.served[1]->stream->write("lost");
  f.served[1]->stream.reset();
  REQUIRE(f.until([&] { return other.closed.has_value(); }));
  CHECK_FALSE(other.ended);
  CHECK(other.closed->message == "http2: stream closed: CANCEL");

  // Finished long ago, then let go: what the peer says meets nobody.
  auto third = f.open();
  f.served[2]->stream->finish();
  REQUIRE(f.until([&] { return third.ended; }));
  f.served[2]->stream.reset();
  REQUIRE(f.until([&] { return third.closed.has_value(); }));
}

TEST_CASE("what comes before anybody listens waits, and so does the end of the connection") {
  Fixture f;
  f.accept = false;
  std::optional<Result<Response>> answer;
  f.ask("/t", [&](Result<Response> r) { answer = std::move(r); });
  REQUIRE(f.until([&] { return !f.asked.empty(); }));
  auto accepted = f.asked[0]->upgrade({});
  REQUIRE(accepted.ok());
  CHECK_FALSE(f.asked[0]->open());
  CHECK_FALSE(f.asked[0]->upgrade({}).ok());
  REQUIRE(f.until([&] { return answer.has_value(); }));
  auto here = std::move((*answer)->stream);
  here->write("early");
  f.settle();
  End there(std::move(*accepted));
  CHECK(there.received.empty());  // not from within the call
  REQUIRE(f.until([&] { return there.received == "early"; }));
  f.server.reset();
  f.settle();
  CHECK(there.closed.has_value());
  End late(std::move(here));
  CHECK_FALSE(late.closed);
  REQUIRE(f.until([&] { return late.closed.has_value(); }));
  CHECK(late.closed->code == Code::kServiceUnavailable);
}

TEST_CASE("a tunnel may be destroyed within its own events") {
  Fixture f;
  for (int event = 0; event < 3; event++) {
    auto answer = f.ask("/t");
    REQUIRE(answer.ok());
    auto stream = std::make_shared<std::unique_ptr<ByteStream>>(std::move(answer->stream));
    bool told = false;
    auto go = [&, stream] {
      told = true;
      stream->reset();
    };
    ByteStream::Events events;
    if (event == 0) events.on_data = [go](std::string_view) { go(); };
    if (event == 1) events.on_end = [go] { go(); };
    if (event == 2) events.on_close = [go](const Error&) { go(); };
    (*stream)->listen(std::move(events));
    (*stream)->finish();
    f.served.back()->stream->write("data");
    f.served.back()->stream->finish();
    REQUIRE(f.until([&] { return told && f.served.back()->closed; }));
  }
}

TEST_CASE("many tunnels at once share a connection") {
  Fixture f;
  constexpr size_t kMany = 100;
  std::vector<std::unique_ptr<End>> ends;
  for (size_t i = 0; i < kMany; i++) {
    f.ask("/t", [&](Result<Response> r) {
      REQUIRE(r.ok());
      ends.push_back(std::make_unique<End>(std::move(r->stream)));
    });
  }
  REQUIRE(f.until([&] { return ends.size() == kMany; }));
  CHECK(f.server->connections() == 1);
  for (auto& end : f.served) end->stream->write(std::string(50000, 's'));
  for (auto& end : ends) end->stream->write("c");
  REQUIRE(f.until([&] {
    size_t got = 0;
    for (auto& end : ends) got += end->received.size();
    for (auto& end : f.served) got += end->received.size();
    return got == kMany * 50001;
  }));
}

TEST_CASE("who is refused a tunnel reads why") {
  Fixture f;
  f.accept = false;
  std::optional<Result<Response>> answer;
  f.ask("/t", [&](Result<Response> r) { answer = std::move(r); });
  REQUIRE(f.until([&] { return !f.asked.empty(); }));
  f.asked[0]->respond(403, {}, "not you");
  REQUIRE(f.until([&] { return answer.has_value(); }));
  REQUIRE(answer->ok());
  CHECK((*answer)->status == 403);
  CHECK((*answer)->body == "not you");
  CHECK((*answer)->stream == nullptr);
  // Unanswered, it is a 500, as any request.
  f.asked.clear();
  answer.reset();
  f.ask("/t", [&](Result<Response> r) { answer = std::move(r); });
  REQUIRE(f.until([&] { return !f.asked.empty(); }));
  f.asked.clear();
  REQUIRE(f.until([&] { return answer.has_value(); }));
  CHECK((*answer)->status == 500);
}

TEST_CASE("a WebSocket over HTTP/2 is to its handler as any other") {
  Fixture f;
  std::unique_ptr<WebSocket> at_server;
  std::string method;
  Server server(f.loop);
  const TestCertificates& certs = test_certificates();
  TlsConfig config{certs.server_cert, certs.server_key, certs.ca, "", false, true};
  auto take = [&](const ExchangePtr& exchange) {
    method = exchange->request.method;
    REQUIRE(is_websocket_request(exchange->request));
    REQUIRE(offered_subprotocols(exchange->request) == std::vector<std::string>{"v4", "v5"});
    auto socket = accept_websocket(*exchange, "v5");
    REQUIRE(socket.ok());
    at_server = std::move(*socket);
    WebSocket::Events events;
    events.on_message = [&](std::string_view bytes, bool) { at_server->send(bytes); };
    at_server->listen(std::move(events));
  };
  REQUIRE(server.listen("127.0.0.1", 0, config, take).ok());
  ClientRequest request;
  request.url = "https://127.0.0.1:" + std::to_string(server.port()) + "/exec";
  request.protocol = kWebSocketProtocol;
  request.headers = {{"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Protocol", "v4, v5"}};
  std::optional<Result<Response>> answer;
  auto call =
      f.client->upgrade(std::move(request), [&](Result<Response> r) { answer = std::move(r); });
  REQUIRE(f.until([&] { return answer.has_value(); }));
  REQUIRE(answer->ok());
  REQUIRE((*answer)->stream != nullptr);
  CHECK(method == "GET");
  CHECK((*answer)->status == 200);
  CHECK((*answer)->headers.get("sec-websocket-protocol") == "v5");
  CHECK_FALSE((*answer)->headers.has("upgrade"));
  WebSocket client(std::move((*answer)->stream), WebSocketCodec::Role::kClient, "v5", 1000);
  std::string heard;
  WebSocket::Events events;
  events.on_message = [&](std::string_view bytes, bool) { heard += bytes; };
  client.listen(std::move(events));
  client.send("hello");
  CHECK(f.until([&] { return heard == "hello"; }));
}

TEST_CASE("a tunnel is not asked of a server without HTTP/2") {
  Fixture f;
  f.options.tls.http2 = false;
  f.client = std::make_unique<Client>(f.loop, f.options);
  for (int i = 0; i < 2; i++) {
    auto answer = f.ask("/t");
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().message == "the server speaks no HTTP/2");
  }
}

TEST_CASE("a server without HTTP/2 is forgotten with its last connection") {
  Fixture f;
  f.server = std::make_unique<Server>(f.loop);
  const TestCertificates& certs = test_certificates();
  TlsConfig config{certs.server_cert, certs.server_key, certs.ca, "", false, true};
  TlsConfig old = config;
  old.http2 = false;
  auto take = [&f](ExchangePtr e) { f.take(e); };
  REQUIRE(f.server->listen("127.0.0.1", 0, old, take).ok());
  f.origin = "https://127.0.0.1:" + std::to_string(f.server->port());
  uint16_t port = f.server->port();
  CHECK_FALSE(f.ask("/t").ok());
  f.server = std::make_unique<Server>(f.loop);
  REQUIRE(f.server->listen("127.0.0.1", port, config, take).ok());
  bool open = false;
  for (int i = 0; i < 100 && !open; i++) open = f.ask("/t").ok();
  CHECK(open);
}

TEST_CASE("tunnels and calls outlive a change of certificates, not the client") {
  Fixture f;
  auto here = f.open();
  REQUIRE(f.client->reload(f.options.tls).ok());
  here.stream->write("still here");
  REQUIRE(f.until([&] { return f.served[0]->received == "still here"; }));
  auto other = f.open();
  CHECK(f.server->connections() == 2);
  here.stream.reset();
  REQUIRE(f.until([&] { return f.server->connections() == 1; }));
  bool told = false;
  ClientRequest request;
  request.url = f.origin + "/";
  auto call = f.client->fetch(std::move(request), [&](Result<Response>) { told = true; });
  f.client.reset();
  REQUIRE(f.until([&] { return other.closed.has_value(); }));
  f.settle();
  CHECK_FALSE(told);
}

TEST_CASE("a client speaks through whatever its dialer gives it") {
  Fixture f;
  std::vector<std::string> targets;
  ClientOptions options = f.options;
  options.dial = [&](const DialTarget& target, int64_t, auto done) {
    targets.push_back(target.host + ":" + std::to_string(target.port) + " " + target.route);
    // A stream through another stream: no socket of its own.
    ClientRequest request;
    request.url = f.origin + "/carry";
    request.protocol = "test";
    struct Carried : Pending {
      std::unique_ptr<Call> call;
    };
    auto pending = std::make_unique<Carried>();
    pending->call = f.client->upgrade(std::move(request), [&f, done](Result<Response> r) {
      REQUIRE(r.ok());
      auto inner = std::move(f.served.back()->stream);
      int fds[2];
      REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
      f.server->adopt(base::UniqueFd(fds[0]));
      splice(std::move(inner), adopt_fd(f.loop, base::UniqueFd(fds[1])), {});
      done(std::move(r->stream));
    });
    return pending;
  };
  Client through(f.loop, options);
  for (const char* route : {"a", "a", "b"}) {
    ClientRequest request;
    request.url = "https://127.0.0.1:1/plain";
    request.route = route;
    std::optional<Result<Response>> answer;
    auto call =
        through.fetch(std::move(request), [&](Result<Response> r) { answer = std::move(r); });
    REQUIRE(f.until([&] { return answer.has_value(); }));
    REQUIRE(answer->ok());
    CHECK((*answer)->body == "plain");
  }
  CHECK(targets == std::vector<std::string>{"127.0.0.1:1 a", "127.0.0.1:1 b"});
}
