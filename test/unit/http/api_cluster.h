// A whole API server over a memory store, spoken to through exchanges without sockets.
#pragma once

#include <catch2/catch.hpp>

#include "base/loop.h"
#include "base/random.h"
#include "server/http/api_server.h"
#include "store/memory/memory_store.h"

namespace knarr::server {

class Everyone final : public Authenticator {
 public:
  void authenticate(const net::Request& request, Done done) override {
    if (request.headers.has("X-Nobody")) return done(UserRef());
    if (request.headers.has("X-Unknown")) return done(make_error(Code::kUnauthorized, "who?"));
    auto user = std::make_shared<UserInfo>();
    user->name = "admin";
    user->groups = {kMastersGroup, kAuthenticatedGroup};
    if (request.headers.has("X-User")) {
      user->name = request.headers.get("X-User");
      user->groups = {kAuthenticatedGroup};
      if (user->name.starts_with("system:node:")) user->groups.emplace_back("system:nodes");
      user->key = request.headers.get("X-Key");
    }
    done(UserRef(user));
  }
};

class FakeExchange final : public net::Exchange {
 public:
  void respond(int status, net::Headers headers, net::Buffers body) override {
    status_ = status;
    headers_ = std::move(headers);
    body_ = body.text();
    open_ = false;
  }
  void start(int status, net::Headers headers) override {
    status_ = status;
    headers_ = std::move(headers);
  }
  bool write(net::Buffers bytes) override {
    body_ += bytes.text();
    return !full_;
  }
  void finish() override { open_ = false; }
  void abort() override { open_ = false; }
  bool started() const override { return status_ != 0; }
  bool open() const override { return open_; }
  size_t queued_bytes() const override { return 0; }
  void on_drain(std::function<void()> fn) override { drain_ = std::move(fn); }
  void on_close(std::function<void()> fn) override { close_ = std::move(fn); }
  Result<std::unique_ptr<net::ByteStream>> upgrade(net::Headers) override {
    return make_error(Code::kBadRequest, "no");
  }
  void drain() {
    auto fn = std::exchange(drain_, nullptr);
    if (fn) fn();
  }
  void go_away() {
    open_ = false;
    drain_ = nullptr;
    auto fn = std::move(close_);
    if (fn) fn();
  }

  int status_ = 0;
  net::Headers headers_;
  std::string body_;
  bool open_ = true;
  bool full_ = false;  // the peer takes no more: write() says false
  std::function<void()> drain_;
  std::function<void()> close_;
};

struct Cluster {
  base::Loop loop;
  base::SeededRandom random{7};
  kv::MemoryStore store{loop, {}};
  Everyone everyone;
  server::ApiServer api;

  // Who may do what is not what most tests are about.
  explicit Cluster(AuthorizationMode mode = AuthorizationMode::kAlwaysAllow)
      : Cluster(options(mode)) {}
  explicit Cluster(server::ApiServerOptions options)
      : api({store, loop, random, everyone}, std::move(options)) {
    start();
  }

  static server::ApiServerOptions options(AuthorizationMode mode) {
    server::ApiServerOptions o;
    o.authorization = {mode};
    return o;
  }

  void start() {
    bool ready = false;
    api.start([&](Result<void> started) { ready = started.ok(); });
    REQUIRE(loop.run_until([&] { return ready; }, 5000));
    REQUIRE(loop.run_until([&] { return begin("GET", "/readyz")->status_ == 200; }, 5000));
    call("POST", "/api/v1/namespaces/default/serviceaccounts",
         R"({"metadata":{"name":"default"}})");
  }

  std::shared_ptr<FakeExchange> begin(const char* method, std::string url, std::string body = "",
                                      net::Headers headers = {}) {
    auto exchange = std::make_shared<FakeExchange>();
    size_t question = url.find('?');
    exchange->request.method = method;
    exchange->request.path = url.substr(0, question);
    if (question != std::string::npos) exchange->request.query = url.substr(question + 1);
    exchange->request.body = std::move(body);
    exchange->request.headers = std::move(headers);
    exchange->request.headers.add("User-Agent", "test/1");
    api.handler()(exchange);
    return exchange;
  }

  json::Value call(const char* method, std::string url, std::string body = "",
                   net::Headers headers = {}) {
    auto exchange = begin(method, std::move(url), std::move(body), std::move(headers));
    REQUIRE(loop.run_until([&] { return !exchange->open(); }, 5000));
    status = exchange->status_;
    answer_headers = exchange->headers_;
    Result<json::Value> value = json::parse(exchange->body_);
    return value.ok() ? *value : json::Value(exchange->body_);
  }

  json::Value patch(std::string url, std::string body,
                    const char* type = "application/merge-patch+json") {
    return call("PATCH", std::move(url), std::move(body), {{"Content-Type", type}});
  }

  int status = 0;
  net::Headers answer_headers;
};

inline const std::string kMaps = "/api/v1/namespaces/default/configmaps";

}  // namespace knarr::server
