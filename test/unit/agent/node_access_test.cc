#include "agent/api/node_access.h"

#include <catch2/catch.hpp>
#include <optional>

#include "api/view/meta.h"
#include "base/format.h"
#include "support/fake_clock.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

// Knows two tokens, and what their users may.
struct FakeApi final : client::Client {
  void call(client::Request request, client::Reply reply) override {
    asked++;
    if (down) return reply(make_error(Code::kServiceUnavailable, "down"));
    json::Value spec = (*json::parse(request.body))["spec"];
    json::Value status = json::Value::object();
    if (request.target.resource == "tokenreviews") {
      std::string token = spec["token"].text();
      bool good = token == "metrics" || token == "pods" || token == "all";
      status.set("authenticated", good);
      status.set("user",
                 json::Value::object({{"username", token}, {"groups", json::Value::array({"g"})}}));
    } else {
      const json::Value& about = spec["resourceAttributes"];
      CHECK(about["name"].as_string() == "n1");
      CHECK(about["resource"].as_string() == "nodes");
      std::string user = spec["user"].text();
      CHECK(spec["groups"].size() == (user == "jane" || user == "mallory" ? 2 : 1));
      reviews += about["verb"].text() + " " + about["subresource"].text() + ";";
      status.set("allowed",
                 user == "all" || user == "jane" || user == about["subresource"].as_string());
    }
    auto object = std::make_shared<Object>();
    object->json = json::write(json::Value::object({{"status", std::move(status)}}));
    reply(ObjectRef(object));
  }
  std::unique_ptr<client::Watch> watch(client::WatchTarget, client::WatchHandler&) override {
    return nullptr;
  }
  int asked = 0;
  bool down = false;
  std::string reviews;
};

struct FakeExchange final : net::Exchange {
  void respond(int status, net::Headers, net::Buffers body) override {
    answer = fmt::format("{} {}", status, body.text());
  }
  void start(int, net::Headers) override {}
  bool write(net::Buffers) override { return true; }
  void finish() override {}
  void abort() override {}
  bool started() const override { return !answer.empty(); }
  bool open() const override { return answer.empty(); }
  size_t queued_bytes() const override { return 0; }
  void on_drain(std::function<void()>) override {}
  void on_close(std::function<void()>) override {}
  Result<std::unique_ptr<net::ByteStream>> upgrade(net::Headers) override {
    return make_error(Code::kBadRequest, "no");
  }
  std::string answer;
};

struct Fixture {
  test::FakeClock clock;
  FakeApi api;
  NodeAccess access{clock, api, "n1"};

  // "ok", or the refusal.
  std::string ask(const char* method, const char* path, const std::string& authorization,
                  std::optional<net::PeerCertificate> certificate = std::nullopt) {
    auto exchange = std::make_shared<FakeExchange>();
    exchange->request.method = method;
    exchange->request.path = path;
    if (!authorization.empty()) exchange->request.headers.add("Authorization", authorization);
    auto connection = std::make_shared<net::ConnectionInfo>();
    if (certificate) {
      connection->certificate = std::make_shared<net::PeerCertificate>(*certificate);
    }
    exchange->request.connection = connection;
    access.check(exchange, [&] { exchange->answer = "ok"; });
    return exchange->answer;
  }
};

// For an hour.
net::PeerCertificate certificate(const char* name, const char* organization) {
  net::PeerCertificate shown;
  shown.common_name = name;
  shown.organizations = {organization};
  shown.not_after = test::FakeClock().now_us() / 1000000 + 3600;
  shown.verified = true;
  return shown;
}

}  // namespace

TEST_CASE("what of nodes a path stands for") {
  struct Case {
    const char *method, *path, *want;
  };
  const Case cases[] = {
      {"GET", "/metrics", "get metrics"},
      {"GET", "/metrics/cadvisor", "get metrics"},
      {"GET", "/metricsx", "get proxy"},
      {"GET", "/stats/summary", "get stats"},
      {"GET", "/logs/", "get log"},
      {"POST", "/checkpoint/a/b/c", "create checkpoint"},
      {"GET", "/healthz", "get healthz proxy"},
      {"GET", "/healthz/log", "get healthz proxy"},
      {"GET", "/pods", "get pods proxy"},
      {"GET", "/runningpods/", "get pods proxy"},
      {"GET", "/configz", "get configz proxy"},
      {"POST", "/exec/ns/pod/c", "create proxy"},
      {"PUT", "/x", "update proxy"},
      {"HEAD", "/metrics", " metrics"},
  };
  for (const Case& c : cases) {
    INFO(c.method << " " << c.path);
    NodeAttributes a = node_attributes(c.method, c.path);
    std::string said = a.verb;
    for (const std::string& subresource : a.subresources) said += " " + subresource;
    CHECK(said == c.want);
  }
}

TEST_CASE("who asks a node's port shows who he is, and the API server says whether he may") {
  Fixture f;
  CHECK(f.ask("GET", "/metrics", "") == "401 Unauthorized");
  CHECK(f.ask("GET", "/metrics", "Basic eDp5") == "401 Unauthorized");
  CHECK(f.api.asked == 0);
  CHECK(f.ask("GET", "/metrics", "Bearer wrong") == "401 Unauthorized");
  CHECK(f.ask("GET", "/metrics", "Bearer metrics") == "ok");
  CHECK(f.ask("GET", "/metrics/cadvisor", "bearer metrics") == "ok");
  CHECK(f.ask("GET", "/stats/summary", "Bearer metrics") ==
        "403 Forbidden (user=metrics, verb=get, resource=nodes, subresource(s)=[stats])");
  f.api.reviews.clear();
  CHECK(f.ask("GET", "/pods", "Bearer pods") == "ok");
  CHECK(f.api.reviews == "get pods;");
  f.api.reviews.clear();
  CHECK(f.ask("GET", "/healthz", "Bearer pods") ==
        "403 Forbidden (user=pods, verb=get, resource=nodes, subresource(s)=[healthz proxy])");
  CHECK(f.api.reviews == "get healthz;get proxy;");
}

TEST_CASE("a certificate of the cluster is as good as a token, while it lasts") {
  Fixture f;
  CHECK(f.ask("GET", "/metrics", "", certificate("any", "knarr:apiserver")) == "ok");
  CHECK(f.api.asked == 0);
  CHECK(f.ask("GET", "/metrics", "", certificate("jane", "devs")) == "ok");
  CHECK(f.ask("GET", "/metrics", "", certificate("mallory", "x")).starts_with("403"));
  net::PeerCertificate stranger = certificate("any", "knarr:apiserver");
  stranger.verified = false;
  CHECK(f.ask("GET", "/metrics", "", stranger) == "401 Unauthorized");
  CHECK(f.ask("GET", "/metrics", "Bearer all", stranger) == "ok");
  f.clock.advance(3601000);
  CHECK(f.ask("GET", "/metrics", "", certificate("any", "knarr:apiserver")) == "401 Unauthorized");
}

TEST_CASE("what the API server said is remembered for a while, that it was silent is not") {
  Fixture f;
  auto asked = [&f](const char* path, const std::string& token) {
    f.api.asked = 0;
    f.ask("GET", path, "Bearer " + token);
    return f.api.asked;
  };
  f.api.down = true;
  CHECK(f.ask("GET", "/metrics", "Bearer metrics") == "401 Unauthorized");
  f.api.down = false;
  CHECK(asked("/metrics", "metrics") == 2);
  CHECK(asked("/stats", "metrics") == 1);
  CHECK(asked("/metrics", "metrics") + asked("/stats", "metrics") == 0);
  CHECK(asked("/metrics", "wrong") == 1);
  f.clock.advance(31000);
  CHECK(asked("/metrics", "metrics") == 0);
  CHECK(asked("/stats", "metrics") == 1);  // a no is asked again sooner
  CHECK(asked("/metrics", "wrong") == 0);
  f.clock.advance(90000);
  CHECK(asked("/metrics", "metrics") == 1);  // who it is
  CHECK(asked("/metrics", "wrong") == 1);
  f.api.down = true;
  CHECK(f.ask("GET", "/pods", "Bearer metrics") ==
        "500 Authorization error (user=metrics, verb=get, resource=nodes, subresource=pods)");
  f.api.down = false;
  f.clock.advance(200000);
  CHECK(asked("/metrics", "metrics") == 2);
  for (int i = 0; i < 3000; ++i) asked("/metrics", std::to_string(i));
  CHECK(asked("/metrics", "metrics") <= 2);
}
