// Passes one HTTP exchange on to a backend, as it comes, upgrades (WebSocket, SPDY) among them: the
// "proxy" subresource of pods, services and nodes, and what one node is asked through another
// process. Loop thread.
#pragma once

#include <memory>
#include <string>

#include "base/loop.h"
#include "net/client.h"
#include "net/http.h"

namespace knarr::agent {

struct ProxyTarget {
  std::string url;    // the backend's, with path and query
  std::string route;  // net::ClientRequest's
};

// How to answer where the backend does not. Empty ones: a backend that cannot be reached is 503
// (500 for an upgrade), in words of an API server; whatever it answers is passed.
struct ProxyRefusals {
  std::function<void(const net::ExchangePtr& exchange, const Error& error)> unreachable;
  // For a status that is not 200 to 206, with the beginning of the body.
  std::function<void(const net::ExchangePtr& exchange, int status, const std::string& body)> failed;
};

class HttpProxy {
 public:
  // Believes any certificate.
  explicit HttpProxy(base::Loop& loop, net::Dialer dial = {});
  HttpProxy(base::Loop& loop, net::ClientOptions options);

  void pass(const net::ExchangePtr& exchange, const ProxyTarget& target,
            ProxyRefusals refusals = {});
  Result<void> reload(const net::TlsConfig& tls) { return client_.reload(tls); }

 private:
  void upgrade(const net::ExchangePtr& exchange, net::ClientRequest request,
               ProxyRefusals refusals);

  net::Splices upgraded_;
  net::Client client_;
};

// "https:web:443" as scheme, name and port; each part may be missing.
struct ProxyName {
  std::string scheme = "http";
  std::string name;
  std::string port;
};
ProxyName parse_proxy_name(const std::string& text);

}  // namespace knarr::agent
