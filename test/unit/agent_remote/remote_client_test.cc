#include "agent/remote/remote_client.h"

#include <catch2/catch.hpp>
#include <optional>

#include "agent/remote/remote_watch.h"
#include "base/format.h"
#include "base/random.h"
#include "net/server.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kPatience_ms = 20000;

// Answers what a test tells it to; streams stay open until it ends them.
struct FakeServer {
  explicit FakeServer(base::Loop& loop) : server(loop) {
    REQUIRE(server
                .listen("127.0.0.1", 0, std::nullopt,
                        [this](net::ExchangePtr exchange) {
                          requests.push_back(exchange->request.method + " " +
                                             exchange->request.path + "?" +
                                             exchange->request.query);
                          agents.emplace_back(exchange->request.headers.get("user-agent"));
                          exchanges.push_back(std::move(exchange));
                        })
                .ok());
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server.port()); }
  void stream(const std::vector<std::string>& lines) {
    if (!exchanges.back()->started()) exchanges.back()->start(200, {});
    for (const std::string& line : lines) exchanges.back()->write(line + "\n");
  }

  std::vector<std::string> requests;
  std::vector<std::string> agents;
  std::vector<net::ExchangePtr> exchanges;
  net::Server server;
};

std::string pod(const char* type, const char* name, int revision) {
  return fmt::format(
      R"({{"type":"{}","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{}",)"
      R"("namespace":"d","resourceVersion":"{}"}}}}}})",
      type, name, revision);
}

std::string initial_end(int revision) {
  return fmt::format(
      R"({{"type":"BOOKMARK","object":{{"kind":"Pod","apiVersion":"v1","metadata":)"
      R"({{"resourceVersion":"{}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}}})",
      revision);
}

struct Log : client::WatchHandler {
  void on_upsert(const ObjectRef& object) override {
    text += fmt::format("+{}@{} ", object->name.name, object->revision);
  }
  void on_delete(const ObjectRef& last) override { text += "-" + last->name.name + " "; }
  void on_synced() override { text += "synced "; }
  std::string take() { return std::exchange(text, ""); }
  std::string text;
};

struct Fixture {
  base::Loop loop;
  base::SystemRandom random;
  FakeServer server{loop};
  RemoteClient client{loop, random, {{server.url()}, {}, "token", "knarr-agent", 5000}};
  Log log;

  void until(const std::function<bool()>& condition) {
    REQUIRE(loop.run_until(condition, kPatience_ms));
  }
  void until_requests(size_t n) {
    until([&] { return server.requests.size() == n; });
  }
  void until_log(const std::string& expected) {
    bool came = loop.run_until([&] { return log.text == expected; }, kPatience_ms);
    INFO(log.text);
    REQUIRE(came);
    log.take();
  }
};

const client::WatchTarget kPods{"", "v1", "pods", "", "", ""};

}  // namespace

TEST_CASE("calls are answered, whatever the answer") {
  Fixture f;
  std::optional<Result<ObjectRef>> answer;
  client::Request request;
  request.target = {"", "v1", "pods", "d", "a", ""};
  auto call = [&](int status, const std::string& body) {
    answer.reset();
    f.client.call(request, [&](Result<ObjectRef> r) { answer = std::move(r); });
    size_t n = f.server.requests.size() + 1;
    f.until_requests(n);
    CHECK(f.server.exchanges.back()->request.headers.get("authorization") == "Bearer token");
    CHECK(f.server.agents.back() == "knarr-agent");
    f.server.exchanges.back()->respond(status, {}, body);
    f.until([&] { return answer.has_value(); });
  };
  call(200, R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"3"}})");
  REQUIRE(answer->ok());
  CHECK((**answer)->revision == 3);
  call(404, R"({"kind":"Status","reason":"NotFound","message":"pods \"a\" not found","code":404})");
  REQUIRE_FALSE(answer->ok());
  CHECK(answer->error().message == "pods \"a\" not found");
}

TEST_CASE("a server that is not there is left for the next") {
  base::Loop loop;
  base::SystemRandom random;
  FakeServer second(loop);
  std::string nobody;
  {
    FakeServer gone(loop);
    nobody = gone.url();
  }
  RemoteClient client(loop, random, {{nobody, second.url()}, {}, "", "", 5000});
  std::optional<Result<ObjectRef>> answer;
  client.call({.target = {"", "v1", "nodes", "", "n", ""}},
              [&](Result<ObjectRef> r) { answer = std::move(r); });
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience_ms));
  REQUIRE_FALSE(answer->ok());
  CHECK(answer->error().code == Code::kServiceUnavailable);
  Log log;
  auto watch = client.watch(kPods, log);
  REQUIRE(loop.run_until([&] { return second.requests.size() == 1; }, kPatience_ms));
}

TEST_CASE("a server that is not up yet is left for the next") {
  base::Loop loop;
  base::SystemRandom random;
  FakeServer first(loop), second(loop);
  RemoteClient client(loop, random, {{first.url(), second.url()}, {}, "", "", 5000});
  std::optional<Result<ObjectRef>> answer;
  auto call = [&] {
    client.call({.target = {"", "v1", "nodes", "", "n", ""}},
                [&](Result<ObjectRef> r) { answer = std::move(r); });
  };
  call();
  REQUIRE(loop.run_until([&] { return first.requests.size() == 1; }, kPatience_ms));
  first.exchanges.back()->respond(
      503, {}, R"({"kind":"Status","reason":"ServiceUnavailable","message":"soon","code":503})");
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, kPatience_ms));
  CHECK(answer->error().message == "soon");
  call();
  REQUIRE(loop.run_until([&] { return second.requests.size() == 1; }, kPatience_ms));
}

TEST_CASE("a watch leaves a server that is not up for the next") {
  base::Loop loop;
  base::SystemRandom random;
  FakeServer first(loop), second(loop);
  RemoteClient client(loop, random, {{first.url(), second.url()}, {}, "", "", 5000});
  Log log;
  auto watch = client.watch(kPods, log);
  REQUIRE(loop.run_until([&] { return first.requests.size() == 1; }, kPatience_ms));
  first.exchanges[0]->respond(
      503, {},
      R"({"kind":"Status","reason":"ServiceUnavailable","message":"starting","code":503})");
  REQUIRE(loop.run_until([&] { return second.requests.size() == 1; }, kPatience_ms));
  CHECK(first.requests.size() == 1);
}

TEST_CASE("a watch resumes where it was") {
  Fixture f;
  auto watch = f.client.watch(kPods, f.log);
  f.until_requests(1);
  CHECK(f.server.requests[0].find("sendInitialEvents=true") != std::string::npos);
  f.server.stream({pod("ADDED", "a", 1), pod("ADDED", "b", 2), initial_end(5)});
  f.until_log("+a@1 +b@2 synced ");
  f.server.stream({pod("MODIFIED", "a", 6)});
  f.until_log("+a@6 ");
  f.server.exchanges.back()->finish();
  f.until_requests(2);
  CHECK(f.server.requests[1].ends_with("resourceVersion=6"));
  f.server.stream({pod("DELETED", "b", 7)});
  f.until_log("-b ");
  f.server.exchanges.back()->abort();
  f.until_requests(3);
  CHECK(f.server.requests[2].ends_with("resourceVersion=7"));
}

TEST_CASE("after a gap a watch tells what differs") {
  Fixture f;
  auto watch = f.client.watch(kPods, f.log);
  f.until_requests(1);
  f.server.stream({pod("ADDED", "a", 1), pod("ADDED", "b", 2)});
  f.until_log("+a@1 +b@2 ");
  // Not whole yet: from the beginning again, without a word said twice.
  f.server.exchanges.back()->abort();
  f.until_requests(2);
  CHECK(f.server.requests[1].find("sendInitialEvents=true") != std::string::npos);
  f.server.stream(
      {pod("ADDED", "a", 1), pod("ADDED", "b", 2), pod("ADDED", "c", 3), initial_end(3)});
  f.until_log("+c@3 synced ");
  f.server.stream({R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})"});
  f.until_requests(3);
  CHECK(f.server.requests[2].find("sendInitialEvents=true") != std::string::npos);
  f.server.stream({pod("ADDED", "b", 9), pod("ADDED", "c", 3), initial_end(10)});
  f.until_log("+b@9 -a synced ");
  // As an answer of the request itself.
  f.server.exchanges.back()->finish();
  f.until_requests(4);
  f.server.exchanges.back()->respond(
      410, {}, R"({"kind":"Status","code":410,"reason":"Expired","message":"too old"})");
  f.until_requests(5);
  CHECK(f.server.requests[4].find("sendInitialEvents=true") != std::string::npos);
}

TEST_CASE("a handler may end its watch within a call") {
  Fixture f;
  struct Ender : client::WatchHandler {
    void on_upsert(const ObjectRef&) override {
      calls++;
      watch.reset();
    }
    void on_delete(const ObjectRef&) override {}
    std::unique_ptr<client::Watch> watch;
    int calls = 0;
  } ender;
  ender.watch = f.client.watch(kPods, ender);
  f.until_requests(1);
  bool closed = false;
  f.server.stream({pod("ADDED", "a", 1), pod("ADDED", "b", 2)});
  f.server.exchanges.back()->on_close([&] { closed = true; });
  f.until([&] { return closed; });
  CHECK(ender.calls == 1);
}

TEST_CASE("who fails again and again waits longer, and by chance") {
  base::SystemRandom random;
  CHECK(retry_delay_ms(0, random) == 0);
  CHECK(retry_delay_ms(1, random) == 0);
  for (int i = 0; i < 100; i++) {
    int64_t second = retry_delay_ms(2, random);
    CHECK((second >= 100 && second <= 200));
    int64_t late = retry_delay_ms(1000, random);
    CHECK((late >= 15000 && late <= 30000));
  }
}
