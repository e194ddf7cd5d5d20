// What probes ask by HTTP and gRPC, and what they make of the answers.
#include "agent/probes/http_get.h"

#include <catch2/catch.hpp>

#include "agent/probes/grpc_health.h"
#include "net/server.h"
#include "support/fake_clock.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

// A server that answers by path, and one GET to it.
struct Web {
  base::Loop loop;
  net::Server server{loop};
  net::Client client{loop};
  std::vector<net::ExchangePtr> unanswered;

  Web() {
    auto listening =
        server.listen("127.0.0.1", 0, {}, [this](const net::ExchangePtr& e) { answer(e); });
    REQUIRE(listening.ok());
  }
  void answer(const net::ExchangePtr& e) {
    const std::string& path = e->request.path;
    if (path == "/big") return e->respond(200, {}, std::string(2 << 20, 'b'));
    if (path == "/there") return e->respond(302, {{"Location", "big"}}, "");
    if (path == "/away") return e->respond(302, {{"Location", "http://localhost/x"}}, "gone");
    if (path == "/round") return e->respond(302, {{"Location", "/round"}}, "");
    if (path == "/nowhere") return e->respond(304, {}, "");
    if (path == "/slow") {
      e->start(200, {});
      e->write("a");
    }
    unanswered.push_back(e);
  }
  Result<HttpAnswer> get(const std::string& path) {
    std::optional<Result<HttpAnswer>> got;
    HttpGet get(client, loop, url(path), {}, 5000,
                [&](Result<HttpAnswer> answer) { got = std::move(answer); });
    REQUIRE(loop.run_until([&] { return got.has_value(); }, 10000));
    return std::move(*got);
  }
  // Of one whose time is over when the server has said all it will. By then another, begun later,
  // is through: what the server said before has been read.
  std::string late(const std::string& path) {
    test::FakeClock clock;
    std::optional<Result<HttpAnswer>> got;
    size_t before = unanswered.size();
    HttpGet request(client, clock, url(path), {}, 50,
                    [&](Result<HttpAnswer> answer) { got = std::move(answer); });
    REQUIRE(loop.run_until([&] { return unanswered.size() > before; }, 10000));
    REQUIRE(get("/nowhere").ok());
    clock.advance(50);
    REQUIRE(got.has_value());
    return got->error().message;
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(server.port()) + path;
  }
};

}  // namespace

TEST_CASE("of a body no more is read than a kubelet reads") {
  Web web;
  Result<HttpAnswer> answer = web.get("/big");
  REQUIRE(answer.ok());
  CHECK(answer->status == 200);
  CHECK(answer->body == std::string(10 * 1024, 'b'));
}

TEST_CASE("redirects are followed on the same host, and not for ever") {
  Web web;
  CHECK(web.get("/there")->body.size() == 10 * 1024);
  Result<HttpAnswer> away = web.get("/away");
  REQUIRE(away.ok());
  CHECK(away->status == 302);
  CHECK(away->body == "gone");
  CHECK(web.get("/nowhere")->status == 304);
  Result<HttpAnswer> round = web.get("/round");
  REQUIRE_FALSE(round.ok());
  CHECK(round.error().message == "Get \"" + web.url("/round") + "\": stopped after 10 redirects");
}

TEST_CASE("the time of a GET is for all of it") {
  Web web;
  CHECK(web.late("/never") ==
        "Get \"" + web.url("/never") +
            "\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
  CHECK(web.late("/slow") ==
        "Get \"" + web.url("/slow") +
            "\": context deadline exceeded (Client.Timeout or context cancellation while reading "
            "body)");
}

TEST_CASE("where a Location leads") {
  auto check = [](const std::string& url, const std::string& location, const std::string& wanted) {
    CHECK(redirect_target(url, location) == wanted);
  };
  check("http://a:80/x/y?q", "/z", "http://a:80/z");
  check("http://a:80/x/y?q", "z", "http://a:80/x/z");
  check("http://a:80/x/y", "../z?k=/..", "http://a:80/z?k=/..");
  check("http://a:80/x/y", "..", "http://a:80/");
  check("http://a:80/x/y?q", "?k", "http://a:80/x/y?k");
  check("http://a:80/x", "//b/c", "http://b/c");
  check("http://a:80/x", "https://b:1/c#d", "https://b:1/c");
  check("http://a:80", "z", "http://a:80/z");
  check("http://a:80/x", "/../../z", "http://a:80/z");
}

TEST_CASE("a gRPC health request names services of any length") {
  CHECK(health_request("") == std::string(5, '\0'));
  CHECK(health_request("abc") == std::string("\0\0\0\0\5\x0a\3abc", 10));
  std::string name(300, 's');
  std::string request = health_request(name);
  CHECK(request.substr(0, 8) == std::string("\0\0\0\1\x2f\x0a\xac\2", 8));
  CHECK(request.substr(8) == name);
}

TEST_CASE("what a gRPC health answer says") {
  auto frame = [](const std::string& message) {
    return std::string(4, '\0') + static_cast<char>(message.size()) + message;
  };
  CHECK(health_answer("0", "", frame("\x08\x01")).serving);
  CHECK(health_answer("0", "", frame("\x08\x02")).text ==
        "service unhealthy (responded with \"NOT_SERVING\")");
  CHECK(health_answer("0", "", frame("")).text == "service unhealthy (responded with \"UNKNOWN\")");
  CHECK(health_answer("12", "no such", "").text ==
        "error: this server does not implement the grpc health protocol "
        "(grpc.health.v1.Health): no such");
  CHECK(health_answer("5", "unknown service", "").text ==
        "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service");
  CHECK_FALSE(health_answer("", "", "").serving);
}
