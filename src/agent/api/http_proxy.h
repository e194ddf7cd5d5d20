// Passes one HTTP exchange on to a backend, as it comes: the "proxy" subresource of pods, services
// and nodes.
#pragma once

#include <memory>
#include <string>

#include "base/loop.h"
#include "net/client.h"
#include "net/http.h"

namespace knarr::agent {

class HttpProxy {
 public:
  explicit HttpProxy(base::Loop& loop);
  // `url` is the backend's, with path and query. A backend that cannot be reached is 503, in words
  // of an API server.
  void pass(const net::ExchangePtr& exchange, const std::string& url);

 private:
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
