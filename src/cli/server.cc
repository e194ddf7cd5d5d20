// knarr server: a whole cluster in this process, until SIGTERM or SIGINT. Pods stay when it ends.
#include <signal.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/control_plane.h"
#include "cli/node.h"
#include "cli/node_bridge.h"
#include "cli/process.h"
#include "cli/server_options.h"
#include "knarr/names.h"
#include "net/pki.h"
#include "server/http/packet_relay.h"

namespace knarr::cli {

namespace {

constexpr int64_t kDrainMs = 3000;

// Of this process's node.
net::TlsConfig kubelet_tls(const server::Credentials& credentials) {
  net::TlsConfig tls;
  tls.cert_pem = credentials.kubelet_serving.certificate;
  tls.key_pem = credentials.kubelet_serving.key;
  tls.ca_pem = credentials.ca.certificate;
  return tls;
}

// Towards the kubelets of other nodes.
net::TlsConfig kubelet_client_tls(const server::Credentials& credentials) {
  net::TlsConfig tls;
  tls.cert_pem = credentials.kubelet_client.certificate;
  tls.key_pem = credentials.kubelet_client.key;
  tls.ca_pem = credentials.ca.certificate;
  return tls;
}

// The stream of packets of this process's node: no tunnel is between.
class OwnPackets final : public net::Pending {
 public:
  OwnPackets(base::Loop& loop, server::PacketRelay& relay, std::string node,
             agent::RelayPort::Done done)
      : soon_(loop.timer([&loop, &relay, node = std::move(node), done = std::move(done)] {
          auto pair = net::stream_pair(loop);
          if (!pair.ok()) return done(pair.error());
          relay.accept(node, std::move(pair->first));
          done(std::move(pair->second));
        })) {
    soon_->start(0);
  }

 private:
  std::unique_ptr<Timer> soon_;
};

class Process {
 public:
  explicit Process(const ServerOptions& options) : options_(options) {}

  int run() {
    int64_t begun_ms = loop_.monotonic_ms();
    auto plane = ControlPlane::open(loop_, random_, options_);
    if (!plane.ok()) return fail(plane.error().message);
    plane_ = *std::move(plane);
    SignalWatch term(loop_, SIGTERM, [this] { stop(); });
    SignalWatch interrupt(loop_, SIGINT, [this] { stop(); });
    plane_->start([this, begun_ms](Result<void> started) {
      if (!started.ok()) return give_up(started.error());
      base::log(base::Level::kInfo, "server", "serving on {}:{} after {} ms", options_.bind_address,
                options_.https_listen_port, loop_.monotonic_ms() - begun_ms);
      if (options_.disable_agent) {
        reach_nodes();
        notify_service_manager("READY=1");
      } else {
        start_node(begun_ms);
      }
    });
    loop_.run();
    if (bridge_) plane_->api().set_node_proxy(nullptr);
    if (relay_) plane_->api().tunnels().on_packets(nullptr);
    node_.reset();
    bridge_.reset();
    relay_.reset();
    relay_client_.reset();
    node_client_.reset();
    plane_.reset();
    return status_;
  }

 private:
  void start_node(int64_t begun_ms) {
    node_client_ = plane_->api().local_client(kNodeUserPrefix + options_.node_name);
    const server::Credentials& credentials = plane_->credentials();
    auto fingerprint = net::key_fingerprint(credentials.kubelet_serving.key);
    if (!fingerprint.ok()) return give_up(fingerprint.error());
    node_ = std::make_unique<Node>(Node::Deps{
        loop_, random_, *node_client_, options_, kubelet_tls(credentials), *std::move(fingerprint),
        [this](agent::RelayPort::Done done) {
          return std::make_unique<OwnPackets>(loop_, *relay_, options_.node_name, std::move(done));
        }});
    reach_nodes();
    node_->start([this, begun_ms](Result<void> ready) {
      if (!ready.ok()) return give_up(ready.error());
      base::log(base::Level::kInfo, "server", "node {} is ready after {} ms", options_.node_name,
                loop_.monotonic_ms() - begun_ms);
      notify_service_manager("READY=1");
    });
  }

  void reach_nodes() {
    server::ApiServer& api = plane_->api();
    bridge_ = std::make_unique<NodeBridge>(NodeBridge::Deps{
        loop_, api.cache(), api.tunnels(), kubelet_client_tls(plane_->credentials()), node_.get(),
        options_.node_name});
    api.set_node_proxy(bridge_.get());
    relay_client_ = api.local_client("kube-apiserver");
    relay_ = std::make_unique<server::PacketRelay>(
        *relay_client_, loop_, [this](const std::string& node) { ask_for_packets(node); });
    api.tunnels().on_packets(
        [this](const std::string& node, auto stream) { relay_->accept(node, std::move(stream)); });
    plane_->on_renewed([this] { renewed(); });
  }

  void ask_for_packets(const std::string& node) {
    bool own = node_ && node == options_.node_name;
    if (!own) return plane_->api().tunnels().ask_for_packets(node);
    if (auto* relay = node_->relay()) relay->server_is_there(true);
  }

  void renewed() {
    auto outgoing = bridge_->reload(kubelet_client_tls(plane_->credentials()));
    auto incoming = node_ ? node_->reload_tls(kubelet_tls(plane_->credentials())) : Result<void>();
    for (const auto& reloaded : {outgoing, incoming}) {
      if (!reloaded.ok()) base::log(base::Level::kError, "server", "{}", reloaded.error().message);
    }
  }

  void give_up(const Error& error) {
    status_ = fail(error.message);
    loop_.stop();
  }

  void stop() {
    if (std::exchange(stopping_, true)) return loop_.stop();  // asked twice
    base::log(base::Level::kInfo, "server", "stopping; pods go on running");
    notify_service_manager("STOPPING=1");
    plane_->drain(kDrainMs, [this] {
      if (!node_) return loop_.stop();
      node_->drain(0, [this] { loop_.stop(); });
    });
  }

  const ServerOptions& options_;
  base::Loop loop_;
  base::SystemRandom random_;
  std::unique_ptr<ControlPlane> plane_;
  std::unique_ptr<client::Client> node_client_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<NodeBridge> bridge_;
  std::unique_ptr<client::Client> relay_client_;
  std::unique_ptr<server::PacketRelay> relay_;
  bool stopping_ = false;
  int status_ = 0;
};

}  // namespace

int server_command(const Args& args) {
  ServerOptions options;
  FlagSet flags = server_flags(options);
  auto read = read_server_options(args, flags, options);
  if (auto status = flags.settled(read)) return *status;
  if (options.debug) base::set_log_level(base::Level::kDebug);
  prepare_process();
  return Process(options).run();
}

}  // namespace knarr::cli
