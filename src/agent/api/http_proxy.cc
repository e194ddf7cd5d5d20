#include "agent/api/http_proxy.h"

#include <array>

#include "base/format.h"
#include "base/json.h"

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

net::Headers end_to_end(const net::Headers& headers, bool drop_authorization) {
  net::Headers out;
  for (net::Headers::Field field : headers) {
    bool drop = drop_authorization && net::equal_ignoring_case(field.name, "authorization");
    for (std::string_view hop : kHopByHop) drop |= net::equal_ignoring_case(field.name, hop);
    if (!drop) out.add(field.name, field.value);
  }
  return out;
}

net::ClientOptions backend_options() {
  net::ClientOptions options;
  options.tls.insecure = true;  // as a kube-apiserver: a pod's certificate is nobody's business
  options.tls.http2 = false;
  return options;
}

void refuse(const net::ExchangePtr& exchange, const Error& error) {
  std::string message = "error trying to reach service: " + error.message;
  json::Value status = json::Value::object({{"kind", "Status"},
                                            {"apiVersion", "v1"},
                                            {"metadata", json::Value::object()},
                                            {"status", "Failure"},
                                            {"message", message},
                                            {"reason", "ServiceUnavailable"},
                                            {"code", 503}});
  exchange->respond(503, {{"Content-Type", "application/json"}}, json::write(status));
}

}  // namespace

HttpProxy::HttpProxy(base::Loop& loop) : client_(loop, backend_options()) {}

void HttpProxy::pass(const net::ExchangePtr& exchange, const std::string& url) {
  net::ClientRequest request;
  request.method = exchange->request.method;
  request.url = url;
  request.headers = end_to_end(exchange->request.headers, true);
  request.headers.set("X-Forwarded-For",
                      exchange->request.connection ? exchange->request.connection->peer_ip : "");
  if (!exchange->request.body.empty()) request.body = std::move(exchange->request.body);
  // The call lives as long as the exchange does: it is held by the exchange's close function.
  auto call = std::make_shared<std::unique_ptr<net::Call>>();
  net::ResponseEvents events;
  events.on_headers = [exchange](int status, const net::Headers& headers) {
    exchange->start(status, end_to_end(headers, false));
  };
  events.on_data = [exchange, weak = std::weak_ptr(call)](std::string_view bytes) {
    if (exchange->write(std::string(bytes))) return;
    if (auto c = weak.lock(); c && *c) (*c)->pause();
  };
  events.on_end = [exchange](const net::Headers&) { exchange->finish(); };
  events.on_error = [exchange](const Error& error) {
    if (exchange->started()) {
      exchange->abort();
    } else {
      refuse(exchange, error);
    }
  };
  *call = client_.send(std::move(request), std::move(events));
  exchange->on_drain([call] {
    if (*call) (*call)->resume();
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
