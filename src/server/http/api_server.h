// A whole API server over a store: cache, admission, registry and front, built in their order and
// ended in reverse. The caller owns what listens and hands its requests to handler(). Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "knarr/client.h"
#include "knarr/clock.h"
#include "knarr/kv_store.h"
#include "knarr/random.h"
#include "server/auth/auth.h"
#include "server/auth/authorizers.h"
#include "server/auth/token_issuer.h"
#include "server/http/front.h"
#include "server/http/node_fetch.h"
#include "server/registry/api_services.h"
#include "server/registry/flow_control.h"
#include "server/registry/registry.h"

namespace knarr::server {

struct ApiServerOptions {
  std::string service_cidr = "10.43.0.0/16";  // or one of each IP family, the default first
  int node_port_min = 30000;
  int node_port_max = 32767;
  std::string advertise_address;  // of the endpoints of "kubernetes"; empty: none are made
  int advertise_port = 6443;
  std::string ca_pem;   // the cluster's authority, told to who joins
  bool metrics = true;  // metrics.k8s.io is served
  std::vector<AuthorizationMode> authorization = {AuthorizationMode::kNode,
                                                  AuthorizationMode::kRbac};
};

class ApiServer {
 public:
  struct Deps {
    kv::Store& store;
    Clock& clock;
    Random& random;
    Authenticator& authenticator;
    TokenIssuer* tokens = nullptr;
  };
  ApiServer(Deps deps, ApiServerOptions options);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // Loads the store and makes the objects a cluster begins with. Requests before that are answered
  // from what is loaded.
  void start(std::function<void(Result<void>)> done);

  net::Handler handler();
  static net::ServerLimits limits();  // of the server that it is for
  void set_node_proxy(NodeProxy* nodes);
  // What nodes and pods use; null when that is not served.
  MetricsSource* metrics() { return metrics_.get(); }
  // What must hold as well before the server is ready.
  void also_ready(std::function<bool()> fn) { also_ready_ = std::move(fn); }
  // For controllers, the scheduler and the agent of this process; `name` is the user and manager.
  std::unique_ptr<client::Client> local_client(const std::string& name);

  Cache& cache() { return *cache_; }
  Registry& registry() { return *registry_; }
  NodeTunnels& tunnels() { return tunnels_; }

 private:
  Deps deps_;
  ApiServerOptions options_;
  NodeTunnels tunnels_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<NodeKeys> node_keys_;
  std::unique_ptr<AuthorizerChain> authorizer_;
  std::unique_ptr<AdmissionChain> admission_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<client::Client> admission_client_;
  std::unique_ptr<NodeMetrics> metrics_;
  std::unique_ptr<NodeFetch> node_fetch_;
  std::unique_ptr<Front> front_;
  std::unique_ptr<FlowControl> flow_control_;
  std::unique_ptr<ApiServices> api_services_;
  bool ready_ = false;
  std::function<bool()> also_ready_;
};

}  // namespace knarr::server
