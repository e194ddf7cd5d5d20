// A node's tunnel and the server's end of it over loopback, and what goes through both.
#include "agent/tunnel/tunnel.h"

#include <catch2/catch.hpp>

#include "agent/api/http_proxy.h"
#include "base/format.h"
#include "base/random.h"
#include "knarr/names.h"
#include "net/server.h"
#include "server/http/node_tunnels.h"
#include "unit/net/certificates.h"

using namespace knarr;
using namespace knarr::agent;
using Stream = std::unique_ptr<net::ByteStream>;

namespace {

constexpr int64_t kPatience_ms = 20000;

// Upgrades and echoes, or answers with what it was asked: a kubelet, or a pod.
struct Backend {
  explicit Backend(base::Loop& loop, std::optional<net::TlsConfig> tls = {}) : server(loop) {
    auto handler = [this](net::ExchangePtr exchange) {
      if (!exchange->request.headers.has("upgrade")) {
        exchange->respond(exchange->request.path == "/bad" ? 400 : 200, {}, "a plain answer\n");
        return;
      }
      if (exchange->request.path == "/bad") return exchange->respond(404, {}, "no such container");
      auto stream = exchange->upgrade({{"Upgrade", "echo"}, {"Connection", "Upgrade"}});
      REQUIRE(stream.ok());
      open = std::move(*stream);
      open->listen({[this](std::string_view bytes) { open->write("<" + std::string(bytes) + ">"); },
                    [this] { open->finish(); },
                    {},
                    {}});
    };
    REQUIRE(server.listen("127.0.0.1", 0, std::move(tls), std::move(handler)).ok());
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(server.port()); }
  Stream open;
  net::Server server;
};

struct Fixture {
  base::Loop loop;
  base::SystemRandom random;
  server::NodeTunnels tunnels{loop};
  std::unique_ptr<net::Server> server;
  std::unique_ptr<HttpProxy> proxy;
  Backend backend{loop};
  ProxyRefusals refusals;
  std::vector<std::string> asked;  // of the node: whether it allows
  std::vector<bool> heard;         // by the node: whether there are packets
  uint16_t port = 0;
  bool busy = false;  // the server: no control stream is accepted
  int controls = 0;   // that were asked for

  Fixture() {
    serve();
    proxy = std::make_unique<HttpProxy>(
        loop, [this](const net::DialTarget& t, int64_t timeout_ms, auto done) {
          return tunnels.dial(t.route, t.host, t.port, timeout_ms, std::move(done));
        });
  }
  // The API server: the user is who the User-Agent says.
  void serve() {
    const net::TestCertificates& certs = net::test_certificates();
    net::TlsConfig tls;
    tls.cert_pem = certs.server_cert;
    tls.key_pem = certs.server_key;
    server = std::make_unique<net::Server>(loop);
    auto handler = [this](net::ExchangePtr exchange) {
      if (exchange->request.protocol.empty()) {
        return proxy->pass(exchange, {"http://" + backend.address() + exchange->request.path, "n1"},
                           refusals);
      }
      if (exchange->request.path == kTunnelPath) {
        controls++;
        if (busy) return exchange->respond(503, {}, "busy");
      }
      auto user = std::make_shared<server::UserInfo>();
      user->name = exchange->request.headers.get("user-agent");
      if (user->name.starts_with("system:node:")) user->groups = {"system:nodes"};
      tunnels.accept(exchange, user);
    };
    REQUIRE(server->listen("127.0.0.1", port, tls, std::move(handler)).ok());
    port = server->port();
  }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port); }
  net::TlsConfig client_tls(bool http2 = true) const {
    net::TlsConfig tls;
    tls.ca_pem = net::test_certificates().ca;
    tls.http2 = http2;
    return tls;
  }
  net::ClientOptions client_options(bool http2) const {
    net::ClientOptions options;
    options.tls = client_tls(http2);
    return options;
  }
  std::unique_ptr<Tunnel> join(const std::string& user = "system:node:n1") {
    TunnelOptions options;
    options.servers = {url()};
    options.tls = client_tls();
    options.user_agent = user;
    options.allowed = [this](const std::string& host, uint16_t) {
      asked.push_back(host);
      return host == "127.0.0.1";
    };
    options.server_is_there = [this](bool packets) { heard.push_back(packets); };
    return std::make_unique<Tunnel>(loop, random, std::move(options));
  }
  void until(const std::function<bool()>& condition) {
    REQUIRE(loop.run_until(condition, kPatience_ms));
  }
  void until_joined(const std::string& node = "n1") {
    until([&] { return tunnels.has(node); });
  }
  // The stream, or why there is none.
  Result<Stream> dial(const std::string& node, const std::string& host, uint16_t to) {
    std::optional<Result<Stream>> result;
    auto pending =
        tunnels.dial(node, host, to, 5000, [&](Result<Stream> r) { result = std::move(r); });
    CHECK_FALSE(result);
    until([&] { return result.has_value(); });
    return std::move(*result);
  }
};

struct Visitor {
  explicit Visitor(Fixture& fixture) : f(fixture), client(f.loop, f.client_options(false)) {}
  net::Response ask(const std::string& path, bool upgrade) {
    net::ClientRequest request;
    request.url = f.url() + path;
    if (upgrade) request.headers = {{"Upgrade", "echo"}, {"Connection", "Upgrade"}};
    std::optional<Result<net::Response>> answer;
    auto done = [&](Result<net::Response> r) { answer = std::move(r); };
    call =
        upgrade ? client.upgrade(std::move(request), done) : client.fetch(std::move(request), done);
    f.until([&] { return answer.has_value(); });
    REQUIRE(answer->ok());
    return std::move(**answer);
  }
  Fixture& f;
  net::Client client;
  std::unique_ptr<net::Call> call;
};

}  // namespace

TEST_CASE("requests and upgrades reach a backend through the node's tunnel") {
  Fixture f;
  auto tunnel = f.join();
  f.until_joined();
  Visitor visitor(f);
  for (int i = 0; i < 3; i++) CHECK(visitor.ask("/plain", false).body == "a plain answer\n");
  CHECK(f.asked == std::vector<std::string>{"127.0.0.1"});  // one connection serves them
  net::Response answer = visitor.ask("/exec", true);
  CHECK(answer.status == 101);
  CHECK(answer.headers.get("upgrade") == "echo");
  REQUIRE(answer.stream);
  std::string got;
  bool ended = false;
  answer.stream->listen(
      {[&](std::string_view bytes) { got += bytes; }, [&] { ended = true; }, {}, {}});
  answer.stream->write("ls");
  f.until([&] { return got == "<ls>"; });
  std::string big(3000000, 'x');
  answer.stream->write(big);
  f.until([&] { return got.size() > big.size(); });
  answer.stream->finish();
  f.until([&] { return ended; });
  // A refusal of the backend's, as it came.
  net::Response refused = visitor.ask("/bad", true);
  CHECK(refused.status == 404);
  CHECK(refused.body == "no such container");
  f.refusals.failed = [](const net::ExchangePtr& exchange, int status, const std::string& body) {
    exchange->respond(418, {}, fmt::format("{} {}", status, body));
  };
  CHECK(visitor.ask("/bad", false).body == "400 a plain answer\n");
  CHECK(visitor.ask("/good", false).body == "a plain answer\n");
}

TEST_CASE("a way that does not come about is told at once, in words") {
  Fixture f;
  CHECK(f.dial("n1", "10.0.0.2", 10250).error().message ==
        "dial tcp 10.0.0.2:10250: the node has no tunnel");
  auto tunnel = f.join();
  f.until_joined();
  CHECK(f.dial("n1", "127.0.0.1", 1).error().message ==
        "dial tcp 127.0.0.1:1: connect: connection refused");
  CHECK(f.dial("n1", "10.9.9.9", 80).error().message ==
        "dial tcp 10.9.9.9:80: not an address of this node's");
  CHECK(f.dial("n2", "127.0.0.1", 80).error().message ==
        "dial tcp 127.0.0.1:80: the node has no tunnel");
  // Not wanted any more.
  bool told = false;
  f.tunnels.dial("n1", "127.0.0.1", f.backend.server.port(), 5000,
                 [&](const Result<Stream>&) { told = true; });
  REQUIRE(f.dial("n1", "127.0.0.1", f.backend.server.port()).ok());
  CHECK_FALSE(told);
  Visitor visitor(f);
  tunnel.reset();
  f.until([&] { return !f.tunnels.has("n1"); });
  CHECK(visitor.ask("/plain", false).body.find("error trying to reach service: dial tcp ") !=
        std::string::npos);
  CHECK(visitor.ask("/exec", true).body.find("error dialing backend: dial tcp ") !=
        std::string::npos);
}

TEST_CASE("a tunnel comes back to a server that comes back, and ends with its node") {
  Fixture f;
  auto tunnel = f.join();
  f.until_joined();
  std::optional<Result<Stream>> hanging;
  auto pending = f.tunnels.dial("n1", "127.0.0.1", f.backend.server.port(), 60000,
                                [&](Result<Stream> r) { hanging = std::move(r); });
  f.server.reset();
  f.until([&] { return hanging.has_value(); });
  CHECK(hanging->error().message.find("the node's tunnel is gone") != std::string::npos);
  f.until([&] { return !tunnel->open(); });
  f.serve();
  f.until_joined();
  auto way = f.dial("n1", "127.0.0.1", f.backend.server.port());
  REQUIRE(way.ok());
  bool closed = false;
  (*way)->listen({{}, {}, {}, [&](const Error&) { closed = true; }});
  tunnel.reset();
  f.until([&] { return closed && !f.tunnels.has("n1"); });
}

TEST_CASE("a change of certificates cuts nothing") {
  Fixture f;
  auto tunnel = f.join();
  f.until_joined();
  Visitor visitor(f);
  net::Response answer = visitor.ask("/exec", true);
  REQUIRE(answer.stream);
  std::string got;
  answer.stream->listen({[&](std::string_view bytes) { got += bytes; }, {}, {}, {}});
  REQUIRE(tunnel->reload(f.client_tls()).ok());
  f.until([&] { return f.server->connections() == 2; });  // the old and the new
  f.until([&] { return tunnel->open() && f.tunnels.has("n1"); });
  answer.stream->write("still");
  f.until([&] { return got == "<still>"; });
  REQUIRE(f.dial("n1", "127.0.0.1", f.backend.server.port()).ok());
}

TEST_CASE("a server that does not take the new certificate at once leaves the old stream alone") {
  Fixture f;
  auto tunnel = f.join();
  f.until([&] { return tunnel->open(); });
  f.busy = true;
  REQUIRE(tunnel->reload(f.client_tls()).ok());
  f.until([&] { return f.controls == 3; });
  CHECK(tunnel->open());
  CHECK(f.tunnels.has("n1"));
  REQUIRE(f.dial("n1", "127.0.0.1", f.backend.server.port()).ok());
  f.busy = false;
  f.until([&] { return f.heard.size() == 2; });  // the new one is there
  REQUIRE(f.dial("n1", "127.0.0.1", f.backend.server.port()).ok());
  CHECK(f.controls == 4);
}

TEST_CASE("a node's packets have a stream of their own, which the server may ask for") {
  Fixture f;
  auto tunnel = f.join();
  f.until_joined();
  std::optional<Result<Stream>> opened;
  auto open = [&] {
    opened.reset();
    auto opening = tunnel->open_packets([&](Result<Stream> s) { opened = std::move(s); });
    f.until([&] { return opened.has_value(); });
  };
  open();  // nobody takes it
  CHECK(opened->error().message.starts_with("refused with 404: "));
  std::string node;
  Stream at_server;
  f.tunnels.on_packets([&](const std::string& name, Stream s) {
    node = name;
    at_server = std::move(s);
  });
  f.tunnels.ask_for_packets("n2");  // which is not there
  f.tunnels.ask_for_packets("n1");
  f.until([&] { return f.heard.size() == 2; });
  CHECK(f.heard == std::vector<bool>{false, true});
  open();
  REQUIRE(opened->ok());
  CHECK(node == "n1");
  std::string got;
  at_server->listen({[&](std::string_view bytes) { got += bytes; }, {}, {}, {}});
  (**opened)->write("packets");
  f.until([&] { return got == "packets"; });
}

TEST_CASE("only nodes have tunnels, each its own") {
  Fixture f;
  net::Client client(f.loop, f.client_options(true));
  std::vector<std::unique_ptr<net::Call>> calls;
  auto connect = [&](const char* user, const std::string& path, const char* protocol) {
    net::ClientRequest request;
    request.url = f.url() + path;
    request.protocol = protocol;
    request.headers = {{"User-Agent", user}};
    std::optional<Result<net::Response>> answer;
    calls.push_back(client.upgrade(std::move(request),
                                   [&](Result<net::Response> r) { answer = std::move(r); }));
    f.until([&] { return answer.has_value(); });
    REQUIRE(answer->ok());
    return std::move(**answer);
  };
  const std::string path = kTunnelPath;
  CHECK(connect("admin", path, kTunnelProtocol).status == 403);
  CHECK(connect("system:node:n1", path, "websocket").status == 404);
  CHECK(connect("system:node:n1", "/api/v1/nodes", kTunnelProtocol).status == 404);
  CHECK(connect("system:node:n1", path + "/7", kTunnelProtocol).status == 404);
  CHECK(connect("system:node:n1", path + "/x", kTunnelProtocol).status == 404);
  // What one node is asked for, no other brings.
  auto control = connect("system:node:n1", path, kTunnelProtocol);
  REQUIRE(control.stream);
  std::string line;
  bool ended = false;
  control.stream->listen(
      {[&](std::string_view bytes) { line += bytes; }, [&] { ended = true; }, {}, {}});
  std::optional<Result<Stream>> way;
  auto pending =
      f.tunnels.dial("n1", "10.0.0.1", 80, 60000, [&](Result<Stream> r) { way = std::move(r); });
  f.until([&] { return line.ends_with(" 10.0.0.1 80\n"); });
  std::string id = line.substr(5, line.find(' ', 5) - 5);
  CHECK(connect("system:node:n2", path + "/" + id, kTunnelProtocol).status == 404);
  auto other = connect("system:node:n2", path, kTunnelProtocol);
  other.stream->write("refused " + id + " by a stranger\nwhat is this\n");
  CHECK(connect("system:node:n1", path + "/" + id, kTunnelProtocol).status == 200);
  REQUIRE(way);
  CHECK(way->ok());
  // A newer control stream takes the place of the older; a line without end ends it.
  auto newer = connect("system:node:n1", path, kTunnelProtocol);
  f.until([&] { return ended; });
  CHECK(f.tunnels.has("n1"));
  newer.stream->write(std::string(10000, 'a'));
  f.until([&] { return !f.tunnels.has("n1"); });
}
