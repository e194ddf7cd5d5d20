// The HTTP front of the API server: every request is authenticated, authorised and routed here: to
// the registry, to discovery, to health checks, or to a node. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "knarr/random.h"
#include "net/http.h"
#include "net/server.h"
#include "server/auth/auth.h"
#include "server/auth/token_issuer.h"
#include "server/http/discovery.h"
#include "server/http/node_proxy.h"
#include "server/http/node_tunnels.h"
#include "server/http/openapi.h"
#include "server/http/reply.h"
#include "server/http/request_info.h"
#include "server/metrics/node_metrics.h"
#include "server/registry/registry.h"

namespace knarr::server {

struct FrontOptions {
  std::string advertised;  // "10.0.0.1:6443", in /api
  std::string git_version = "v1.36.2";
  std::string ca_pem;  // of /cacerts, for anyone who asks: who joins holds it against his token
};

// Bodies past the API's limit, which a server may refuse before it has read them: it answers with
// these words.
net::ServerLimits server_limits();

class Front {
 public:
  struct Deps {
    Registry& registry;
    Authenticator& authenticator;
    Authorizer& authorizer;
    Random& random;
    TokenIssuer* tokens = nullptr;   // of the OpenID documents
    NodeProxy* nodes = nullptr;      // null: exec and its kin answer 503
    NodeTunnels* tunnels = nullptr;  // null: nodes cannot bring their own way here
    NodeMetrics* metrics = nullptr;  // null: metrics.k8s.io is not served
    // Of /readyz; empty: always. Until then who would be refused is told to come again.
    std::function<bool()> ready = {};
  };
  Front(Deps deps, FrontOptions options);

  // A handler for net::Server.
  void handle(net::ExchangePtr exchange);
  void set_node_proxy(NodeProxy* nodes) { deps_.nodes = nodes; }

 private:
  // One request on its way, kept alive by the callbacks.
  struct Call {
    net::ExchangePtr exchange;
    RequestInfo info;
    net::Query query;
    UserRef user;
    const api::ResourceInfo* resource = nullptr;
    const api::Subresource* sub = nullptr;
  };
  using CallPtr = std::shared_ptr<Call>;

  bool ready() const { return !deps_.ready || deps_.ready(); }
  void authenticated(const CallPtr& call);
  void serve_path(const CallPtr& call);
  bool serve_discovery(const CallPtr& call);
  bool serve_health(const CallPtr& call);
  void serve_resource(const CallPtr& call);
  void serve_read(const CallPtr& call, Reply reply);
  void serve_metrics(const CallPtr& call, Reply reply);
  void serve_write(const CallPtr& call, Reply reply);
  void serve_node(const CallPtr& call);
  Result<void> may_stream(const Call& call);
  void run_write(const CallPtr& call, Reply reply, RequestPtr request, Body body);
  void reply_discovery(const CallPtr& call, std::string json);

  Deps deps_;
  FrontOptions options_;
  Discovery discovery_;
  AggregatedDiscovery core_;
  AggregatedDiscovery groups_;
  OpenApi openapi_;
  base::SeededRandom audit_ids_;
};

}  // namespace knarr::server
