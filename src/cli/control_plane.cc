#include "cli/control_plane.h"

#include <charconv>
#include <cstdlib>

#include "agent/remote/remote_watch.h"
#include "api/ip.h"
#include "api/ip_list.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "cli/cluster_settings.h"
#include "knarr/names.h"
#include "store/sqlite/sqlite_store.h"

namespace knarr::cli {

namespace {

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kRenewAgainSeconds = 3600;  // after a renewal that failed

bool is_address(const std::string& text) { return api::IpAddress::parse(text).has_value(); }

server::CredentialNames names_of(const ServerOptions& o) {
  server::CredentialNames names;
  names.node_name = o.disable_agent ? "" : o.node_name;
  names.dns_names = {o.node_name};
  names.ip_addresses = api::split_list(o.node_ip);
  names.ip_addresses.push_back(o.advertise_address);
  for (const std::string& range : api::split_list(o.service_cidr)) {
    auto cidr = api::Cidr::parse(range);
    auto first = cidr ? cidr->network().plus(1) : std::nullopt;
    if (first) names.ip_addresses.push_back(first->text());
  }
  if (is_address(o.bind_address) && o.bind_address != "0.0.0.0" && o.bind_address != "::") {
    names.ip_addresses.push_back(o.bind_address);
  }
  for (const std::string& san : o.tls_san) {
    (is_address(san) ? names.ip_addresses : names.dns_names).push_back(san);
  }
  return names;
}

// "30000-32767"
bool parse_port_range(const std::string& text, int& min, int& max) {
  const char* end = text.data() + text.size();
  auto [dash, error] = std::from_chars(text.data(), end, min);
  if (error != std::errc() || dash == end || *dash != '-') return false;
  auto [rest, error2] = std::from_chars(dash + 1, end, max);
  return error2 == std::errc() && rest == end && min > 0 && min <= max && max < 65536;
}

// What a client on this machine dials.
std::string local_url(const ServerOptions& o) {
  bool any = o.bind_address == "0.0.0.0" || o.bind_address == "::";
  std::string host = any ? "127.0.0.1" : o.bind_address;
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return fmt::format("https://{}:{}", host, o.https_listen_port);
}

}  // namespace

ControlPlane::ControlPlane(base::Loop& loop, Random& random, const ServerOptions& options)
    : loop_(loop),
      random_(random),
      options_(options),
      renewal_(loop, [this] { renew(); }),
      publish_retry_(loop.timer([this] { publish(); })) {}

ControlPlane::~ControlPlane() = default;

Result<std::unique_ptr<ControlPlane>> ControlPlane::open(base::Loop& loop, Random& random,
                                                         const ServerOptions& options) {
  std::unique_ptr<ControlPlane> plane(new ControlPlane(loop, random, options));
  TRY(base::make_dirs(options.data_dir + "/server", 0700));
  TRY(plane->open_store());
  TRY(plane->make_identity());
  server::ApiServerOptions api;
  api.service_cidr = options.service_cidr;
  api.advertise_address = options.advertise_address;
  api.advertise_port = static_cast<int>(options.https_listen_port);
  auto modes = server::parse_authorization_modes(options.authorization_mode);
  if (!modes.ok()) {
    return make_error(Code::kBadRequest, "--authorization-mode: " + modes.error().message);
  }
  api.authorization = *std::move(modes);
  if (!parse_port_range(options.service_node_port_range, api.node_port_min, api.node_port_max)) {
    return make_error(Code::kBadRequest, "--service-node-port-range: want A-B, not " +
                                             options.service_node_port_range);
  }
  api.metrics = !options.disable_metrics_server;
  api.ca_pem = plane->credentials_.ca.certificate;
  plane->api_ = std::make_unique<server::ApiServer>(
      server::ApiServer::Deps{*plane->store_, loop, random, *plane->authenticator_,
                              plane->tokens_.get()},
      api);
  plane->tokens_->set_lookup([api = plane->api_.get()](const std::string& resource,
                                                       const std::string& ns,
                                                       const std::string& name) {
    return api->cache().get({{"", resource}, {ns, name}});
  });
  return plane;
}

Result<void> ControlPlane::open_store() {
  kv::SqliteOptions options;
  options.path = options_.data_dir + "/server/state.db";
  options.options.volatile_prefixes = {server::kVolatilePrefix};
  TRY_ASSIGN(store_, kv::open_sqlite(loop_, options));
  return {};
}

Result<void> ControlPlane::make_identity() {
  TRY_ASSIGN(credentials_,
             server::load_credentials(options_.data_dir + "/server/tls", names_of(options_),
                                      loop_.now_us() / kSecondUs));
  tokens_ = std::make_unique<server::ServiceAccountTokens>(
      credentials_.service_account_key, "https://kubernetes.default.svc." + options_.cluster_domain,
      loop_, random_);
  std::unique_ptr<server::TokenFile> static_tokens;
  if (!options_.token_auth_file.empty()) {
    TRY_ASSIGN(std::string text, base::read_file(options_.token_auth_file));
    TRY_ASSIGN(static_tokens, server::TokenFile::parse(text));
  }
  server::BootstrapTokens bootstrap(
      [this](const std::string& name) -> ObjectRef {
        return api_ ? api_->cache().get({{"", "secrets"}, {kSystemNamespace, name}}) : nullptr;
      },
      loop_);
  authenticator_ = std::make_unique<server::RequestAuthenticator>(
      std::move(static_tokens), *tokens_, std::move(bootstrap), loop_);
  return {};
}

net::TlsConfig ControlPlane::serving_tls() const {
  net::TlsConfig tls;
  tls.cert_pem = credentials_.serving.certificate + credentials_.ca.certificate;
  tls.key_pem = credentials_.serving.key;
  tls.ca_pem = credentials_.ca.certificate;
  return tls;
}

Result<void> ControlPlane::listen() {
  server_ = std::make_unique<net::Server>(loop_, server::ApiServer::limits());
  return server_->listen(options_.bind_address, static_cast<uint16_t>(options_.https_listen_port),
                         serving_tls(), api_->handler());
}

// Also called when the clock was set: then mostly nothing is due.
void ControlPlane::renew() {
  int64_t now = loop_.now_us() / kSecondUs;
  int64_t due = server::renewal_due(credentials_);
  if (due <= now || renewed_in_part_) {
    auto taken = take_renewed();
    if (taken.ok()) {
      base::log(base::Level::kInfo, "server", "certificates are renewed");
    } else {
      base::log(base::Level::kError, "server", "certificates: {}", taken.error().message);
    }
    renewed_in_part_ = !taken.ok();
    due = now + kRenewAgainSeconds;
    if (taken.ok()) due = std::max(server::renewal_due(credentials_), due);
  }
  renewal_.start(due * kSecondUs);
}

Result<void> ControlPlane::take_renewed() {
  TRY_ASSIGN(credentials_,
             server::load_credentials(options_.data_dir + "/server/tls", names_of(options_),
                                      loop_.now_us() / kSecondUs));
  // Others use them also when they cannot be served here, or written.
  Result<void> served = server_->reload(serving_tls());
  if (renewed_) renewed_();
  TRY(write_kubeconfig());
  return served;
}

Result<void> ControlPlane::write_kubeconfig() {
  const std::string& path = options_.write_kubeconfig;
  std::string text = server::kubeconfig("knarr", local_url(options_), credentials_.ca.certificate,
                                        credentials_.admin);
  if (auto before = base::read_file(path); before.ok() && *before == text) return {};
  if (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0) {
    TRY(base::make_dirs(path.substr(0, slash)));
  }
  return base::write_file(path, text, 0600);
}

void ControlPlane::start(std::function<void(Result<void>)> done) {
  api_->start([this, done = std::move(done)](Result<void> loaded) {
    if (!loaded.ok()) return done(loaded);
    api_->also_ready([this] { return join_token_ && join_token_->stored(); });
    if (auto listening = listen(); !listening.ok()) return done(listening);
    if (auto written = write_kubeconfig(); !written.ok()) return done(written);
    start_loops();
    prepare_for_nodes();
    renew();
    done({});
  });
}

void ControlPlane::start_loops() {
  if (!options_.disable_controller_manager) {
    controller_client_ = api_->local_client("kube-controller-manager");
    server::ControllersOptions options;
    options.root_ca_pem = credentials_.ca.certificate;
    options.ca = credentials_.ca;
    options.server_names = server::names_of(credentials_.serving);
    options.tokens = tokens_.get();
    options.metrics = api_->metrics();
    options.cluster_cidr = options_.cluster_cidr;
    options.node_cidr_bits_v4 = static_cast<int>(options_.node_cidr_mask_size_ipv4);
    options.node_cidr_bits_v6 = static_cast<int>(options_.node_cidr_mask_size_ipv6);
    options.load_balancer = !options_.disable_load_balancer && !options_.disable_network;
    options.local_storage = !options_.disable_local_storage;
    options.taken_ports = {options_.https_listen_port, options_.kubelet_port};
    if (options_.network_backend == "vxlan") {
      options.taken_udp_ports = {atoi(options_.vxlan_port.c_str())};
    }
    controllers_ = server::make_controllers({api_->cache(), *controller_client_, loop_, random_},
                                            std::move(options));
    controllers_->start();
  }
  if (!options_.disable_scheduler) {
    scheduler_client_ = api_->local_client("kube-scheduler");
    scheduler_ =
        std::make_unique<server::Scheduler>(api_->cache(), *scheduler_client_, loop_, random_);
    scheduler_->start();
  }
  manifest_client_ = api_->local_client("knarr-manifests");
  manifests_ = std::make_unique<server::ManifestApplier>(loop_, *manifest_client_,
                                                         options_.data_dir + "/server/manifests");
  if (auto started = manifests_->start(); !started.ok()) {
    base::log(base::Level::kError, "manifests", "none are applied: {}", started.error().message);
  }
}

// What nodes find here: the settings of the cluster, the token to join with, the DNS service.
void ControlPlane::prepare_for_nodes() {
  cluster_client_ = api_->local_client("knarr");
  publish();
  join_token_ = std::make_unique<JoinTokenFile>(
      loop_, *cluster_client_, random_,
      JoinTokenFile::Options{options_.data_dir + "/server", options_.token,
                             credentials_.ca.certificate});
  if (options_.disable_network) return;
  dns_service_ =
      std::make_unique<agent::DnsServiceObject>(*cluster_client_, loop_, options_.cluster_dns);
  dns_service_->ensure();
}

void ControlPlane::publish() {
  cluster_client_->call(publish_settings(options_), [this, alive = std::weak_ptr<bool>(alive_)](
                                                        const Result<ObjectRef>& published) {
    if (published.ok() || alive.expired()) return;
    publish_failures_++;
    base::log(base::Level::kError, "server", "settings for nodes: {}", published.error().message);
    publish_retry_->start(agent::retry_delay_ms(publish_failures_ + 1, random_));
  });
}

void ControlPlane::drain(int64_t limit_ms, std::function<void()> done) {
  if (!server_) return done();
  server_->drain(limit_ms, std::move(done));
}

}  // namespace knarr::cli
