#include "server/http/api_server.h"

#include "api/ip_list.h"
#include "base/format.h"
#include "server/registry/bootstrap.h"
#include "server/registry/local_client.h"
#include "server/registry/policy_bootstrap.h"

namespace knarr::server {

ApiServer::ApiServer(Deps deps, ApiServerOptions options)
    : deps_(deps), options_(std::move(options)), tunnels_(deps.clock) {
  cache_ = std::make_unique<Cache>(deps_.store, deps_.clock, Registry::cache_options());
  for (ResourceSpec& spec : Registry::specs()) cache_->add_resource(std::move(spec));
  node_keys_ = std::make_unique<NodeKeys>(*cache_);
  tunnels_.know_machines_by(node_keys_.get());
  authorizer_ = make_authorizers(*cache_, options_.authorization);
  admission_ =
      make_admission({*cache_, deps_.clock, deps_.random, authorizer_.get(), authorizer_->rbac()});
  RegistryDeps registry{*cache_, deps_.clock, deps_.random, *admission_};
  registry.tokens = deps_.tokens;
  registry.authenticator = &deps_.authenticator;
  registry.authorizer = authorizer_.get();
  registry.services.cidr = options_.service_cidr;
  registry.services.node_port_min = options_.node_port_min;
  registry.services.node_port_max = options_.node_port_max;
  registry_ = std::make_unique<Registry>(std::move(registry));
  admission_client_ = local_client("kube-apiserver");
  admission_->use(*admission_client_);
  flow_control_ = std::make_unique<FlowControl>(*registry_);
  api_services_ = std::make_unique<ApiServices>(*registry_, options_.metrics);
  Front::Deps front{*registry_, deps_.authenticator, *authorizer_, deps_.random};
  front.tokens = deps_.tokens;
  front.tunnels = &tunnels_;
  if (options_.metrics) metrics_ = std::make_unique<NodeMetrics>(*cache_, deps_.clock);
  front.metrics = metrics_.get();
  front.ready = [this] { return ready_ && (!also_ready_ || also_ready_()); };
  FrontOptions front_options;
  std::string host = options_.advertise_address;
  if (api::is_v6(host)) host = "[" + host + "]";
  front_options.advertised = fmt::format("{}:{}", host, options_.advertise_port);
  front_options.ca_pem = options_.ca_pem;
  front_ = std::make_unique<Front>(std::move(front), std::move(front_options));
}

ApiServer::~ApiServer() = default;

void ApiServer::start(std::function<void(Result<void>)> done) {
  cache_->start([this, done = std::move(done)](Result<void> loaded) {
    if (!loaded.ok()) return done(std::move(loaded));
    Result<void> recovered = registry_->recover();
    if (!recovered.ok()) return done(std::move(recovered));
    authorizer_->start();
    bootstrap(*registry_, {options_.advertise_address, options_.advertise_port}, [this, done] {
      flow_control_->start();
      api_services_->start();
      done({});
      if (authorizer_->rbac() == nullptr) {
        ready_ = true;
      } else {
        // Nobody waits for these but who asks whether all is ready.
        ensure_bootstrap_policy(*registry_, options_.metrics, [this] { ready_ = true; });
      }
    });
  });
}

void ApiServer::set_node_proxy(NodeProxy* nodes) {
  front_->set_node_proxy(nodes);
  if (metrics_ == nullptr) return;
  metrics_->set_reader(nullptr);
  node_fetch_ = nodes == nullptr ? nullptr : std::make_unique<NodeFetch>(*nodes, deps_.clock);
  metrics_->set_reader(node_fetch_.get());
}

net::Handler ApiServer::handler() {
  return [front = front_.get()](net::ExchangePtr exchange) { front->handle(std::move(exchange)); };
}

net::ServerLimits ApiServer::limits() { return server_limits(); }

std::unique_ptr<client::Client> ApiServer::local_client(const std::string& name) {
  return std::make_unique<LocalClient>(*registry_, privileged_user(name), name);
}

}  // namespace knarr::server
