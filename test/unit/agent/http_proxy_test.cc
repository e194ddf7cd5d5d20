#include "agent/api/http_proxy.h"

#include <catch2/catch.hpp>
#include <optional>

#include "net/server.h"
#include "net/websocket.h"

using namespace knarr;
using namespace knarr::agent;

TEST_CASE("a WebSocket over HTTP/2 goes on over HTTP/1.1") {
  base::Loop loop;
  net::Server backend(loop), front(loop);
  std::unique_ptr<net::WebSocket> at_backend;
  auto echo = [&](const net::ExchangePtr& exchange) {
    CHECK(exchange->request.version == 11);
    auto socket = net::accept_websocket(*exchange, "v5");
    REQUIRE(socket.ok());
    at_backend = std::move(*socket);
    net::WebSocket::Events events;
    events.on_message = [&](std::string_view bytes, bool) { at_backend->send(bytes); };
    at_backend->listen(std::move(events));
  };
  REQUIRE(backend.listen("127.0.0.1", 0, std::nullopt, echo).ok());
  HttpProxy proxy(loop);
  std::string target = "http://127.0.0.1:" + std::to_string(backend.port()) + "/exec";
  auto pass = [&](const net::ExchangePtr& exchange) { proxy.pass(exchange, {target, ""}); };
  REQUIRE(front.listen("127.0.0.1", 0, std::nullopt, pass).ok());
  net::ClientOptions options;
  options.http2_prior_knowledge = true;
  net::Client client(loop, options);
  net::ClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(front.port()) + "/x";
  request.protocol = net::kWebSocketProtocol;
  request.headers = {{"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Protocol", "v5"}};
  std::optional<Result<net::Response>> answer;
  auto call =
      client.upgrade(std::move(request), [&](Result<net::Response> r) { answer = std::move(r); });
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, 5000));
  REQUIRE(answer->ok());
  REQUIRE((*answer)->stream != nullptr);
  net::WebSocket socket(std::move((*answer)->stream), net::WebSocketCodec::Role::kClient, "v5",
                        1000);
  std::string heard;
  net::WebSocket::Events events;
  events.on_message = [&](std::string_view bytes, bool) { heard += bytes; };
  socket.listen(std::move(events));
  socket.send("hello");
  CHECK(loop.run_until([&] { return heard == "hello"; }, 5000));
}
