#include "cli/node.h"

#include <algorithm>

#include "api/ip_list.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "knarr/names.h"
#include "runtime/native_runtime.h"

namespace knarr::cli {

namespace {

// With --disable-network: pods that want a network of their own get none but loopback.
class NoNetwork final : public agent::PodNetwork {
 public:
  void attach(const agent::PodRef&, const std::string&, const std::string&,
              agent::Callback<std::vector<std::string>> done) override {
    done(std::vector<std::string>());
  }
  void detach(const std::string&, agent::Callback<void> done) override { done({}); }
  void keep_only(const std::vector<std::string>&) override {}
};

agent::AgentOptions agent_options(const NodeOptions& o, const KubeletSettings& settings,
                                  const std::string& key_fingerprint) {
  agent::AgentOptions a;
  a.node.max_pods = settings.max_pods;
  a.eviction = settings.eviction;
  a.node.name = o.node_name;
  a.node.hostname = o.node_name;
  a.node.ips = api::split_list(o.node_ip);
  a.node.taints = o.node_taint;
  for (const std::string& label : o.node_label) {
    size_t equals = label.find('=');
    a.node.labels[label.substr(0, equals)] =
        equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  if (!key_fingerprint.empty()) a.node.annotations[kNodeKeyAnnotation] = key_fingerprint;
  a.node.annotations[kLocalStoragePathAnnotation] = o.local_storage_path;
  a.local_storage_path = o.local_storage_path;
  a.node.version = std::string(kKubernetesVersion) + "+knarr";
  a.node.kubelet_port = static_cast<uint16_t>(o.kubelet_port);
  a.data_dir = o.data_dir + "/agent";
  a.logs_dir = o.log_dir;
  a.dns.cluster_dns = {o.cluster_dns};
  a.dns.cluster_domain = o.cluster_domain;
  a.node_resolv_conf_path = o.resolv_conf;
  return a;
}

runtime::NativeOptions runtime_options(const NodeOptions& o, const KubeletSettings& settings) {
  runtime::NativeOptions n;
  n.log_max_bytes = settings.log_max_bytes;
  n.log_max_files = static_cast<int>(settings.log_max_files);
  n.state_dir = o.run_dir + "/runtime";
  n.cgroup_root = o.cgroup_root;
  n.seccomp_profile_dir = o.data_dir + "/agent/seccomp";
  return n;
}

int status_of(Code code) {
  switch (code) {
    case Code::kNotFound: return 404;
    case Code::kBadRequest:
    case Code::kInvalid: return 400;
    case Code::kForbidden: return 403;
    default: return 500;
  }
}

}  // namespace

Node::Node(Deps deps) : deps_(std::move(deps)) {}

Node::~Node() = default;

void Node::start(std::function<void(Result<void>)> ready) {
  ready_ = std::move(ready);
  if (auto prepared = prepare(); !prepared.ok()) {
    ready_(prepared);
    return;
  }
  open_images();
}

Result<void> Node::prepare() {
  const NodeOptions& o = deps_.options;
  TRY_ASSIGN(settings_, read_kubelet_args(o.kubelet_arg));
  TRY(base::make_dirs(o.data_dir + "/agent", 0750));
  TRY(base::make_dirs(o.run_dir, 0711));
  TRY(base::make_dirs(o.log_dir));
  runtime::PullerOptions puller;
  TRY_ASSIGN(puller.registries, runtime::load_registries(o.private_registry));
  images_ = std::make_unique<runtime::ImageStore>(deps_.loop, o.data_dir + "/agent/images");
  snapshots_ = std::make_unique<runtime::SnapshotStore>(*images_);
  puller_ = std::make_unique<runtime::Puller>(deps_.loop, *images_, std::move(puller));
  if (o.disable_network) {
    no_network_ = std::make_unique<NoNetwork>();
    return {};
  }
  network_ = std::make_unique<NodeNetwork>(deps_.loop, deps_.random, deps_.client, o);
  network_->relay().use(deps_.open_packets);
  return network_->start();
}

void Node::open_images() {
  images_->open([this](Result<void> opened) {
    if (!opened.ok()) return ready_(opened);
    preload_images();
  });
}

// Before any pod starts: those that need them find them.
void Node::preload_images() {
  preload_ = std::make_unique<agent::Preload>(*images_, deps_.options.data_dir + "/agent/images");
  preload_->run([this](std::set<std::string> ids) {
    preloaded_ = std::move(ids);
    run();
  });
}

void Node::run() {
  runtime_ = runtime::make_native_runtime(deps_.loop, deps_.random, *images_, *snapshots_, *puller_,
                                          runtime_options(deps_.options, settings_));
  agent_ = std::make_unique<agent::Agent>(
      deps_.loop, agent_options(deps_.options, settings_, deps_.key_fingerprint), deps_.client,
      *runtime_, network_ ? network_->pods() : *no_network_, [this](const std::string& ns) {
        return network_ ? network_->services().services(ns) : std::vector<json::Value>();
      });
  api_ = std::make_unique<agent::NodeApi>(deps_.loop, *agent_);
  access_ = std::make_unique<agent::NodeAccess>(deps_.loop, deps_.client, deps_.options.node_name);
  local_ = std::make_unique<agent::LocalApi>(deps_.loop, *images_, *runtime_,
                                             [this] { agent_->refresh_images(); });
  if (auto listening = listen(); !listening.ok()) return ready_(listening);
  agent_->keep_images(std::move(preloaded_));
  agent_->on_ready([this] { ready_({}); });
  agent_->start();
}

Result<void> Node::listen() {
  TRY(local_->listen(deps_.options.run_dir + "/knarr.sock"));
  server_ = std::make_unique<net::Server>(deps_.loop);
  return server_->listen(api::first_of(deps_.options.node_ip),
                         static_cast<uint16_t>(deps_.options.kubelet_port), deps_.tls,
                         [this](net::ExchangePtr exchange) { serve(exchange); });
}

Result<void> Node::reload_tls(const net::TlsConfig& tls) {
  deps_.tls = tls;
  return server_ ? server_->reload(tls) : Result<void>();
}

void Node::drain(int64_t limit_ms, std::function<void()> done) {
  if (!server_) return done();
  server_->drain(limit_ms, std::move(done));
}

// A pod on the host's network shares its address with all else that listens there: of those, only
// ports that it names.
bool Node::may_be_dialed(const std::string& host, uint16_t port) const {
  const NodeOptions& o = deps_.options;
  if (host == api::first_of(o.node_ip) && port == o.kubelet_port) return true;
  if (agent_ == nullptr) return false;
  for (const agent::PodMachine* machine : agent_->pods()) {
    const std::vector<std::string>& ips = machine->pod_ips();
    if (std::find(ips.begin(), ips.end(), host) == ips.end()) continue;
    if (!machine->pod()->spec()["hostNetwork"].as_bool()) return true;
    for (const agent::ContainerSpec& c : machine->pod()->containers()) {
      for (const json::Value& p : (*c.spec)["ports"].elements()) {
        if (p["containerPort"].as_int() == port) return true;
      }
    }
  }
  return false;
}

// The node's own port.
void Node::serve(const net::ExchangePtr& exchange) {
  access_->check(exchange, [this, exchange] { answer(exchange); });
}

void Node::answer(const net::ExchangePtr& exchange) {
  net::Query query = net::Query::parse(exchange->request.query);
  auto answered = api_->node_path(exchange, exchange->request.path, query);
  if (answered.ok()) return;
  exchange->respond(status_of(answered.error().code),
                    {{"Content-Type", "text/plain; charset=utf-8"}},
                    answered.error().message + "\n");
}

}  // namespace knarr::cli
