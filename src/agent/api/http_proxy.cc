#include "agent/api/http_proxy.h"

#include <array>

#include "base/ascii.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/random.h"
#include "net/websocket.h"

namespace knarr::agent {

namespace {

// RFC 9110: of one connection, not of the message.
constexpr std::array<std::string_view, 8> kHopByHop = {"connection",
                                                       "keep-alive",
                                                       "proxy-authenticate",
                                                       "proxy-authorization",
                                                       "te",
                                                       "transfer-encoding",
                                                       "upgrade",
                                                       "host"};

constexpr size_t kRefusalLimit = 50000;

net::Headers end_to_end(const net::Headers& headers, std::string_view also_dropped) {
  net::Headers out;
  for (net::Headers::Field field : headers) {
    bool drop = net::equal_ignoring_case(field.name, also_dropped);
    for (std::string_view hop : kHopByHop) drop |= net::equal_ignoring_case(field.name, hop);
    if (!drop) out.add(field.name, field.value);
  }
  return out;
}

net::Headers of_answer(const net::Headers& headers) { return end_to_end(headers, "date"); }

net::ClientOptions backend_options(net::Dialer dial) {
  net::ClientOptions options;
  options.tls.insecure = true;  // as a kube-apiserver: a pod's certificate is nobody's business
  options.tls.http2 = false;
  options.dial = std::move(dial);
  return options;
}

void refuse(const net::ExchangePtr& exchange, int code, const char* reason,
            const std::string& message) {
  json::Value status = json::Value::object({{"kind", "Status"},
                                            {"apiVersion", "v1"},
                                            {"metadata", json::Value::object()},
                                            {"status", "Failure"},
                                            {"message", message}});
  if (*reason != '\0') status.set("reason", reason);
  status.set("code", code);
  exchange->respond(code, {{"Content-Type", "application/json"}}, json::write(status));
}

bool wants_upgrade(const net::Request& request) {
  if (request.protocol == net::kWebSocketProtocol) return true;
  return request.version == 11 && request.headers.has("upgrade") &&
         base::lower(request.headers.get("connection")).find("upgrade") != std::string::npos;
}

}  // namespace

HttpProxy::HttpProxy(base::Loop& loop, net::Dialer dial)
    : HttpProxy(loop, backend_options(std::move(dial))) {}

HttpProxy::HttpProxy(base::Loop& loop, net::ClientOptions options)
    : client_(loop, std::move(options)) {}

void HttpProxy::pass(const net::ExchangePtr& exchange, const ProxyTarget& target,
                     ProxyRefusals refusals) {
  net::ClientRequest request;
  request.method = exchange->request.method;
  request.url = target.url;
  request.route = target.route;
  request.headers = end_to_end(exchange->request.headers, "authorization");
  request.headers.set("X-Forwarded-For",
                      exchange->request.connection ? exchange->request.connection->peer_ip : "");
  if (!exchange->request.body.empty()) request.body = std::move(exchange->request.body);
  if (wants_upgrade(exchange->request)) {
    return upgrade(exchange, std::move(request), std::move(refusals));
  }
  // The call lives as long as the exchange does: it is held by the exchange's close function.
  auto call = std::make_shared<std::unique_ptr<net::Call>>();
  struct Failed {
    int status = 0;  // 0: it is not
    std::string body;
  };
  auto failed = std::make_shared<Failed>();
  net::ResponseEvents events;
  events.on_headers = [exchange, failed, judged = refusals.failed != nullptr](
                          int status, const net::Headers& headers) {
    if (judged && (status < 200 || status > 206)) {
      failed->status = status;
    } else {
      exchange->start(status, of_answer(headers));
    }
  };
  events.on_data = [exchange, failed, weak = std::weak_ptr(call)](std::string_view bytes) {
    if (failed->status != 0) {
      failed->body += bytes.substr(0, kRefusalLimit - failed->body.size());
      return;
    }
    if (exchange->write(std::string(bytes))) return;
    if (auto c = weak.lock(); c && *c) (*c)->pause();
  };
  events.on_end = [exchange, failed, tell = refusals.failed](const net::Headers&) {
    if (failed->status == 0) return exchange->finish();
    tell(exchange, failed->status, failed->body);
  };
  events.on_error = [exchange, tell = refusals.unreachable](const Error& error) {
    if (exchange->started()) return exchange->abort();
    if (tell) return tell(exchange, error);
    refuse(exchange, 503, "ServiceUnavailable", "error trying to reach service: " + error.message);
  };
  *call = client_.send(std::move(request), std::move(events));
  exchange->on_drain([call] {
    if (*call) (*call)->resume();
  });
  exchange->on_close([call] { call->reset(); });
}

void HttpProxy::upgrade(const net::ExchangePtr& exchange, net::ClientRequest request,
                        ProxyRefusals refusals) {
  request.headers.set("Connection", "Upgrade");
  if (exchange->request.protocol == net::kWebSocketProtocol) {
    // HTTP/2 has no need of a key, HTTP/1.1 has.
    request.headers.set("Upgrade", "websocket");
    base::SystemRandom random;
    std::string key;
    while (key.size() < 16) key += static_cast<char>(random.below(256));
    request.headers.set("Sec-WebSocket-Key", base::base64_encode(key));
  } else {
    request.headers.set("Upgrade", exchange->request.headers.get("upgrade"));
  }
  auto call = std::make_shared<std::unique_ptr<net::Call>>();
  *call = client_.upgrade(std::move(request), [this, exchange, tell = refusals.unreachable](
                                                  Result<net::Response> answer) {
    if (!answer.ok()) {
      if (tell) return tell(exchange, answer.error());
      return refuse(exchange, 500, "", "error dialing backend: " + answer.error().message);
    }
    net::Headers headers = of_answer(answer->headers);
    if (!answer->stream) {
      return exchange->respond(answer->status, std::move(headers), std::move(answer->body));
    }
    headers.set("Connection", "Upgrade");
    headers.set("Upgrade", answer->headers.get("upgrade"));
    auto stream = exchange->upgrade(std::move(headers));
    if (stream.ok()) upgraded_.add(std::move(*stream), std::move(answer->stream));
  });
  exchange->on_close([call] { call->reset(); });
}

ProxyName parse_proxy_name(const std::string& text) {
  ProxyName parsed;
  size_t first = text.find(':');
  size_t second = first == std::string::npos ? first : text.find(':', first + 1);
  if (first == std::string::npos) {
    parsed.name = text;
  } else if (second == std::string::npos) {
    parsed.name = text.substr(0, first);
    parsed.port = text.substr(first + 1);
  } else {
    if (first > 0) parsed.scheme = text.substr(0, first);
    parsed.name = text.substr(first + 1, second - first - 1);
    parsed.port = text.substr(second + 1);
  }
  return parsed;
}

}  // namespace knarr::agent
