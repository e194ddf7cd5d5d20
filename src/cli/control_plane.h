// The control plane of one process, put together in its order and ended in reverse: store,
// identity, API server, what listens, controllers, scheduler.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/dns/dns_service.h"
#include "base/loop.h"
#include "base/wall_timer.h"
#include "cli/join_token_file.h"
#include "cli/server_options.h"
#include "knarr/random.h"
#include "net/server.h"
#include "server/auth/authenticators.h"
#include "server/auth/credentials.h"
#include "server/controllers/controllers.h"
#include "server/http/api_server.h"
#include "server/manifests/manifest_applier.h"
#include "server/scheduler/scheduler.h"

namespace knarr::cli {

class ControlPlane {
 public:
  // Opens the store, reads or makes the cluster's identity. Blocking.
  static Result<std::unique_ptr<ControlPlane>> open(base::Loop& loop, Random& random,
                                                    const ServerOptions& options);
  ~ControlPlane();

  // Listens, loads, writes the kubeconfig, starts the loops. `done` when requests are served.
  void start(std::function<void(Result<void>)> done);
  // Lets requests under way end, at most this long.
  void drain(int64_t limit_ms, std::function<void()> done);

  // Whenever certificates are other ones, because the old would have run out.
  void on_renewed(std::function<void()> fn) { renewed_ = std::move(fn); }

  const server::Credentials& credentials() const { return credentials_; }
  server::ApiServer& api() { return *api_; }

 private:
  ControlPlane(base::Loop& loop, Random& random, const ServerOptions& options);
  Result<void> open_store();
  Result<void> make_identity();
  Result<void> listen();
  net::TlsConfig serving_tls() const;
  void renew();
  Result<void> take_renewed();
  Result<void> write_kubeconfig();
  void start_loops();
  void prepare_for_nodes();
  void publish();

  base::Loop& loop_;
  Random& random_;
  const ServerOptions& options_;
  std::unique_ptr<kv::Store> store_;
  server::Credentials credentials_;
  base::WallTimer renewal_;
  std::function<void()> renewed_;
  bool renewed_in_part_ = false;  // what failed of it is done again
  std::unique_ptr<server::ServiceAccountTokens> tokens_;
  std::unique_ptr<server::RequestAuthenticator> authenticator_;
  std::unique_ptr<server::ApiServer> api_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<client::Client> controller_client_, scheduler_client_, manifest_client_;
  std::unique_ptr<server::ControllerHost> controllers_;
  std::unique_ptr<server::Scheduler> scheduler_;
  std::unique_ptr<server::ManifestApplier> manifests_;
  std::unique_ptr<client::Client> cluster_client_;
  std::unique_ptr<Timer> publish_retry_;
  int publish_failures_ = 0;
  std::unique_ptr<JoinTokenFile> join_token_;
  std::unique_ptr<agent::DnsServiceObject> dns_service_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::cli
