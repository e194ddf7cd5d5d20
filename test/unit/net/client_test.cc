#include "net/client.h"

#include <catch2/catch.hpp>

#include "certificates.h"
#include "net/pki.h"
#include "net/server.h"

using namespace knarr;
using namespace knarr::net;

namespace {

struct Mode {
  const char* name;
  bool tls;
  bool http2;
};

const Mode kModes[] = {{"plain http/1.1", false, false},
                       {"plain h2", false, true},
                       {"tls http/1.1", true, false},
                       {"tls h2", true, true}};

struct Fixture {
  base::Loop loop;
  Server server;
  std::string origin;
  ClientOptions options;
  std::unique_ptr<Client> client;

  Fixture(const Mode& mode, Handler handler, ServerLimits limits = {}) : server(loop, limits) {
    std::optional<TlsConfig> tls;
    const TestCertificates& certs = test_certificates();
    if (mode.tls) {
      tls.emplace();
      tls->cert_pem = certs.server_cert;
      tls->key_pem = certs.server_key;
      tls->ca_pem = certs.ca;
    }
    REQUIRE(server.listen("127.0.0.1", 0, tls, std::move(handler)).ok());
    origin =
        std::string(mode.tls ? "https" : "http") + "://127.0.0.1:" + std::to_string(server.port());
    options.tls.ca_pem = certs.ca;
    options.tls.http2 = mode.http2;
    options.http2_prior_knowledge = mode.http2 && !mode.tls;
    client = std::make_unique<Client>(loop, options);
  }
  Result<Response> fetch(ClientRequest request) {
    request.url = origin + request.url;
    std::optional<Result<Response>> answer;
    auto call =
        client->fetch(std::move(request), [&](Result<Response> r) { answer = std::move(r); });
    if (!loop.run_until([&] { return answer.has_value(); }, 5000)) {
      return make_error(Code::kTimeout, "the test waited in vain");
    }
    return std::move(*answer);
  }
  Result<Response> get(const std::string& path) {
    ClientRequest request;
    request.url = path;
    return fetch(std::move(request));
  }
};

void echo(ExchangePtr exchange) {
  Request& r = exchange->request;
  exchange->respond(200, {{"X-Version", std::to_string(r.version)}},
                    r.method + " " + r.path + "?" + r.query + " " +
                        std::string(r.headers.get("x")) + " " + std::to_string(r.body.size()));
}

}  // namespace

TEST_CASE("client and server agree, whatever is between them") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    Fixture f(mode, echo);
    ClientRequest request;
    request.method = "POST";
    request.url = "/a/b?c=d";
    request.headers.add("X", "y");
    request.body = std::string(2000000, 'b');
    auto answer = f.fetch(std::move(request));
    REQUIRE(answer.ok());
    CHECK(answer->status == 200);
    CHECK(answer->body == "POST /a/b?c=d y 2000000");
    CHECK(answer->headers.get("x-version") == (mode.http2 ? "20" : "11"));
    CHECK(answer->headers.has("date"));
    for (int i = 0; i < 3; i++) CHECK(f.get("/again").ok());
    CHECK(f.server.connections() == 1);
    ClientRequest head;
    head.method = "HEAD";
    head.url = "/h";
    auto headed = f.fetch(std::move(head));
    REQUIRE(headed.ok());
    CHECK(headed->body.empty());
    CHECK(headed->headers.get("content-length") == "11");
  }
}

TEST_CASE("a big answer streams with back pressure on both ends") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    auto block = std::make_shared<const std::string>(70000, 'z');
    int left = 100;
    std::function<void(Exchange*)> more = [&](Exchange* exchange) {
      while (left > 0) {
        left--;
        if (!exchange->write(block)) return;
      }
      exchange->finish();
    };
    Fixture f(mode, [&](ExchangePtr exchange) {
      exchange->start(200, {});
      Exchange* raw = exchange.get();
      exchange->on_drain([exchange, raw, &more] { more(raw); });
      more(raw);
    });
    size_t got = 0;
    bool ended = false;
    ResponseEvents events;
    std::unique_ptr<Call> call;
    events.on_data = [&](std::string_view bytes) {
      if (got == 0) call->pause();
      got += bytes.size();
    };
    events.on_end = [&](const Headers&) { ended = true; };
    ClientRequest request;
    request.url = f.origin + "/";
    call = f.client->send(std::move(request), std::move(events));
    REQUIRE(f.loop.run_until([&] { return got > 0; }, 5000));
    f.loop.run_until([] { return false; }, 50);
    CHECK(left > 10);
    CHECK(got < 1000000);
    call->resume();
    REQUIRE(f.loop.run_until([&] { return ended; }, 5000));
    CHECK(got == 7000000);
  }
}

TEST_CASE("a paused call is told nothing, not even the end") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    Fixture f(mode, [](ExchangePtr exchange) {
      exchange->start(200, {});
      for (int i = 0; i < 5; i++) exchange->write("part");
      exchange->finish();
    });
    std::unique_ptr<Call> call;
    std::string got;
    bool ended = false;
    ResponseEvents events;
    events.on_headers = [&](int, const Headers&) { call->pause(); };
    events.on_data = [&](std::string_view bytes) {
      got += bytes;
      call->pause();
    };
    events.on_end = [&](const Headers&) { ended = true; };
    ClientRequest request;
    request.url = f.origin + "/";
    call = f.client->send(std::move(request), std::move(events));
    f.loop.run_until([&] { return ended; }, 50);
    CHECK(got.empty());
    CHECK_FALSE(ended);
    for (int i = 0; i < 10 && !ended; i++) {
      size_t before = got.size();
      call->resume();
      REQUIRE(f.loop.run_until([&] { return ended || got.size() > before; }, 5000));
      CHECK(got.size() - before <= (mode.http2 ? 20 : 4));
    }
    CHECK(ended);
    CHECK(got.size() == 20);
  }
}

TEST_CASE("a canceled call is told to the server, the connection of the others stays") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    ExchangePtr kept;
    bool gone = false;
    Fixture f(mode, [&](ExchangePtr exchange) {
      if (exchange->request.path != "/watch") return echo(std::move(exchange));
      exchange->start(200, {});
      exchange->write("first");
      exchange->on_close([&] { gone = true; });
      kept = std::move(exchange);
    });
    std::string got;
    ResponseEvents events;
    events.on_data = [&](std::string_view bytes) { got += bytes; };
    ClientRequest request;
    request.url = f.origin + "/watch";
    auto call = f.client->send(std::move(request), std::move(events));
    REQUIRE(f.loop.run_until([&] { return got == "first"; }, 5000));
    CHECK(f.get("/other").ok());
    call.reset();
    REQUIRE(f.loop.run_until([&] { return gone; }, 5000));
    CHECK(f.get("/other").ok());
    CHECK(f.server.connections() == 1);
  }
}

TEST_CASE("limits and dropped exchanges look alike in both protocols") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    ServerLimits limits;
    limits.body_bytes = 1000;
    limits.header_bytes = 8000;
    limits.too_large_type = "application/json";
    limits.too_large_body = R"({"limit":1000})";
    Fixture f(
        mode,
        [](ExchangePtr exchange) {
          if (exchange->request.path == "/half") exchange->start(200, {});
          if (exchange->request.path == "/empty") exchange->respond(204, {}, {});
        },
        limits);
    CHECK(f.get("/dropped")->status == 500);
    CHECK(f.get("/empty")->status == 204);
    CHECK_FALSE(f.get("/half").ok());
    ClientRequest large;
    large.method = "POST";
    large.url = "/";
    large.body = std::string(5000, 'x');
    auto answer = f.fetch(std::move(large));
    REQUIRE(answer.ok());
    CHECK(answer->status == 413);
    CHECK(answer->headers.get("content-type") == limits.too_large_type);
    CHECK(answer->body == limits.too_large_body);
    ClientRequest wordy;
    wordy.url = "/";
    wordy.headers.add("x", std::string(9000, 'h'));
    auto refused = f.fetch(std::move(wordy));
    REQUIRE(refused.ok());
    CHECK(refused->status == 431);
  }
}

TEST_CASE("what the client's certificate says") {
  const TestCertificates& certs = test_certificates();
  struct Case {
    std::string cert, key, seen;
  };
  for (const Case& c :
       std::vector<Case>{{"", "", "none"},
                         {certs.client_cert, certs.client_key, "jane dev,system:masters, verified"},
                         {certs.stranger_cert, certs.stranger_key, "mallory x, not"}}) {
    Fixture f(kModes[3], [&c](ExchangePtr exchange) {
      auto cert = exchange->request.connection->certificate;
      if (cert) CHECK(cert->key_fingerprint == *key_fingerprint(c.key));
      std::string text = "none";
      if (cert) {
        text = cert->common_name + " ";
        for (const std::string& o : cert->organizations) text += o + ",";
        text += cert->verified ? " verified" : " not";
      }
      CHECK(exchange->request.connection->peer_ip == "127.0.0.1");
      exchange->respond(200, {}, std::move(text));
    });
    TlsConfig tls = f.options.tls;
    tls.cert_pem = c.cert;
    tls.key_pem = c.key;
    REQUIRE(f.client->reload(tls).ok());
    auto answer = f.get("/");
    REQUIRE(answer.ok());
    CHECK(answer->body == c.seen);
  }
}

TEST_CASE("a connection that is on its way when the certificate changes is not used") {
  for (const Mode& mode : {kModes[2], kModes[3]}) {
    INFO(mode.name);
    std::vector<std::string> seen;
    Fixture f(mode, [&](const ExchangePtr& exchange) {
      const auto& shown = exchange->request.connection->certificate;
      seen.push_back(shown ? shown->common_name : "nobody");
      exchange->respond(200, {}, "");
    });
    TlsConfig tls = f.options.tls;
    tls.cert_pem = test_certificates().client_cert;
    tls.key_pem = test_certificates().client_key;
    int answers = 0;
    auto count = [&](const Result<Response>& r) { answers += r.ok() ? 1 : 100; };
    ClientRequest request;
    request.url = f.origin + "/";
    auto fetched = f.client->fetch(request, count);
    auto upgraded = f.client->upgrade(request, count);
    REQUIRE(f.client->reload(tls).ok());
    REQUIRE(f.loop.run_until([&] { return answers >= 2; }, 5000));
    CHECK(answers == 2);
    CHECK(seen == std::vector<std::string>(2, "jane"));
  }
}

TEST_CASE("a client believes only whom it was told to, by the name it asked for") {
  Fixture f(kModes[3], echo);
  TlsConfig tls = f.options.tls;
  tls.server_name = "elsewhere.example";
  REQUIRE(f.client->reload(tls).ok());
  auto answer = f.get("/");
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().message.find("tls: failed to verify certificate") == 0);
  tls.insecure = true;
  REQUIRE(f.client->reload(tls).ok());
  CHECK(f.get("/").ok());
  TlsConfig strangers;
  strangers.ca_pem = test_certificates().stranger_cert;
  REQUIRE(f.client->reload(strangers).ok());
  CHECK_FALSE(f.get("/").ok());
}

TEST_CASE("a connection that the server closed meanwhile is replaced without a word") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    ServerLimits limits;
    limits.idle_timeout_ms = 1;
    Fixture f(mode, echo, limits);
    for (int i = 0; i < 3; i++) {
      REQUIRE(f.get("/x").ok());
      f.loop.run_until([&] { return f.server.connections() == 0; }, 1000);
    }
  }
}

TEST_CASE("draining HTTP/2 lets answers end") {
  ExchangePtr kept;
  Fixture f(kModes[3], [&](ExchangePtr exchange) { kept = std::move(exchange); });
  std::optional<Result<Response>> answer;
  ClientRequest request;
  request.url = f.origin + "/";
  auto call =
      f.client->fetch(std::move(request), [&](Result<Response> r) { answer = std::move(r); });
  REQUIRE(f.loop.run_until([&] { return kept != nullptr; }, 5000));
  bool drained = false;
  f.server.drain(60000, [&] { drained = true; });
  f.loop.run_until([] { return false; }, 20);
  CHECK_FALSE(drained);
  kept->respond(200, {}, "late");
  REQUIRE(f.loop.run_until([&] { return drained && answer.has_value(); }, 5000));
  CHECK((*answer)->body == "late");
}

TEST_CASE("errors of a client are told, once and later") {
  base::Loop loop;
  Client client(loop);
  for (const char* url : {"ftp://x/", "http://127.0.0.1:1/", "http://no.such.name.invalid/"}) {
    int errors = 0;
    ClientRequest request;
    request.url = url;
    auto call = client.fetch(std::move(request), [&](Result<Response> r) { errors += !r.ok(); });
    CHECK(errors == 0);
    REQUIRE(loop.run_until([&] { return errors == 1; }, 5000));
  }
  Fixture f(kModes[0], [kept = ExchangePtr()](ExchangePtr e) mutable { kept = std::move(e); });
  ClientRequest request;
  request.url = "/";
  request.timeout_ms = 10;
  auto answer = f.fetch(std::move(request));
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::kTimeout);
}

TEST_CASE("a call may be dropped from within its own events") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    Fixture f(mode, echo);
    for (int where = 0; where < 3; where++) {
      bool dropped = false;
      std::unique_ptr<Call> call;
      auto drop = [&] {
        call.reset();
        dropped = true;
      };
      ResponseEvents events;
      if (where == 0) events.on_headers = [&](int, const Headers&) { drop(); };
      if (where == 1) events.on_data = [&](std::string_view) { drop(); };
      if (where == 2) events.on_end = [&](const Headers&) { drop(); };
      ClientRequest request;
      request.url = f.origin + "/";
      call = f.client->send(std::move(request), std::move(events));
      REQUIRE(f.loop.run_until([&] { return dropped; }, 5000));
    }
    CHECK(f.get("/").ok());
  }
}

TEST_CASE("a streamed body arrives; an upgrade gives a stream of bytes") {
  for (const Mode& mode : kModes) {
    INFO(mode.name);
    std::unique_ptr<ByteStream> at_server;
    Fixture f(mode, [&](ExchangePtr exchange) {
      if (exchange->request.path != "/up") return echo(std::move(exchange));
      auto stream = exchange->upgrade({{"Connection", "Upgrade"}, {"Upgrade", "x"}});
      REQUIRE(stream.ok());
      at_server = std::move(*stream);
      ByteStream::Events events;
      events.on_data = [&](std::string_view bytes) { at_server->write(std::string(bytes)); };
      events.on_end = [&] { at_server->finish(); };
      at_server->listen(std::move(events));
    });
    ClientRequest streamed;
    streamed.method = "POST";
    streamed.url = f.origin + "/s";
    streamed.stream_body = true;
    std::optional<Result<Response>> answer;
    auto call =
        f.client->fetch(std::move(streamed), [&](Result<Response> r) { answer = std::move(r); });
    call->write("abc");
    call->write("de");
    call->finish();
    REQUIRE(f.loop.run_until([&] { return answer.has_value(); }, 5000));
    REQUIRE(answer->ok());
    CHECK((*answer)->body == "POST /s?  5");

    if (mode.http2 && !mode.tls) continue;  // prior knowledge has no way to upgrade
    ClientRequest up;
    up.url = f.origin + "/up";
    up.headers = {{"Connection", "Upgrade"}, {"Upgrade", "x"}};
    std::optional<Result<Response>> upgraded;
    auto second =
        f.client->upgrade(std::move(up), [&](Result<Response> r) { upgraded = std::move(r); });
    REQUIRE(f.loop.run_until([&] { return upgraded.has_value(); }, 5000));
    REQUIRE(upgraded->ok());
    REQUIRE((*upgraded)->stream != nullptr);
    std::string got;
    bool ended = false;
    ByteStream::Events events;
    events.on_data = [&](std::string_view bytes) { got += bytes; };
    events.on_end = [&] { ended = true; };
    (*upgraded)->stream->listen(std::move(events));
    (*upgraded)->stream->write("ping");
    REQUIRE(f.loop.run_until([&] { return got == "ping"; }, 5000));
    (*upgraded)->stream->finish();
    REQUIRE(f.loop.run_until([&] { return ended; }, 5000));
    at_server.reset();
  }
}
