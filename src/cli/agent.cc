// knarr agent: a node of a cluster whose server is another machine, until SIGTERM or SIGINT. Pods
// stay when it ends.
#include <signal.h>

#include "agent/join/join.h"
#include "agent/remote/server_watch.h"
#include "agent/tunnel/tunnel.h"
#include "api/ip_list.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/random.h"
#include "cli/cluster_settings.h"
#include "cli/command.h"
#include "cli/node.h"
#include "cli/option_check.h"
#include "cli/process.h"
#include "net/pki.h"
#include "net/url.h"

namespace knarr::cli {

namespace {

struct AgentOptions : NodeOptions {
  std::vector<std::string> server;
  std::string token;
  std::string token_file;
};

FlagSet agent_flags(AgentOptions& o) {
  FlagSet f("knarr agent --server https://HOST:6443 --token TOKEN [flags]",
            "Makes this machine a node of the server's cluster.\nEvery flag may also stand in the "
            "config file (without its dashes), or in a variable\n(--node-name is KNARR_NODE_NAME; "
            "--server is also KNARR_URL). The command line wins over\nvariables, those over the "
            "file.");
  base_flags(f, o);
  f.list("server", o.server, "URL",
         "the cluster's server; further ones, and those it has learnt, are tried in turn");
  f.alias("s", "server");
  f.alias("url", "server");
  f.text("token", o.token, "TOKEN",
         "what lets this machine in: <data-dir>/server/token of the server, or of `knarr token "
         "create`");
  f.alias("t", "token");
  f.text("token-file", o.token_file, "FILE", "read the token from this file");
  node_flags(f, o);
  return f;
}

Result<void> read_agent_options(const Args& args, FlagSet& flags, AgentOptions& o) {
  TRY(read_flags(args, flags, o));
  if (flags.help_wanted()) return {};
  if (o.server.empty()) {
    return make_error(Code::kBadRequest, "--server is wanted: https://HOST:6443");
  }
  for (std::string& url : o.server) {
    while (url.ends_with('/')) url.pop_back();
    auto parsed = net::parse_url(url);
    if (!parsed.ok() || parsed->scheme != "https") {
      return make_error(Code::kBadRequest, "--server: want https://HOST:PORT, not " + url);
    }
  }
  if (!o.token_file.empty()) {
    TRY_ASSIGN(o.token, base::read_file(o.token_file));
  }
  fill_in_node(o);
  TRY(check_own_labels(o));
  return check_node(o);
}

class Process {
 public:
  explicit Process(AgentOptions& options) : options_(options) {}

  int run() {
    begun_ms_ = loop_.monotonic_ms();
    SignalWatch term(loop_, SIGTERM, [this] { stop(); });
    SignalWatch interrupt(loop_, SIGINT, [this] { stop(); });
    if (auto joining = join(); !joining.ok()) return fail(joining.error().message);
    loop_.run();
    node_.reset();
    tunnel_.reset();
    settings_.reset();
    server_watch_.reset();
    client_.reset();
    join_.reset();
    return status_;
  }

 private:
  Result<void> join() {
    agent::JoinOptions join;
    join.tls_dir = options_.data_dir + "/agent/tls";
    // Beside whom it believes: both are of one cluster.
    servers_ = std::make_shared<agent::ServerBook>(options_.server, join.tls_dir + "/servers");
    join.servers = agent::ServerList(servers_);
    if (!options_.token.empty()) {
      TRY_ASSIGN(join.token, agent::parse_join_token(options_.token));
    }
    join.node_name = options_.node_name;
    join.addresses = api::split_list(options_.node_ip);
    join.user_agent = user_agent();
    join_ = std::make_unique<agent::Join>(loop_, random_, std::move(join));
    loop_.defer([this] {
      join_->start([this](Result<void> in) {
        if (!in.ok()) return give_up(in.error());
        joined();
      });
    });
    return {};
  }

  void joined() {
    agent::RemoteOptions remote;
    remote.servers = agent::ServerList(servers_);
    remote.tls = join_->client_tls();
    remote.user_agent = user_agent();
    memory_ = std::make_unique<agent::Memory>(loop_, options_.data_dir + "/agent/memory",
                                              join_->identity().key);
    remote.memory = memory_.get();
    client_ = std::make_unique<agent::RemoteClient>(loop_, random_, std::move(remote));
    server_watch_ = std::make_unique<agent::ServerWatch>(*client_, servers_);
    settings_ = std::make_unique<ClusterSettings>(loop_, random_, *client_, options_);
    join_->on_renewed([this] { renewed(); });
    settings_->fetch([this] {
      add_families(options_);
      start_node();
    });
  }

  void start_node() {
    auto fingerprint = net::key_fingerprint(join_->identity().key);
    if (!fingerprint.ok()) return give_up(fingerprint.error());
    node_ = std::make_unique<Node>(Node::Deps{
        loop_, random_, *client_, options_, join_->serving_tls(), *std::move(fingerprint),
        [this](agent::RelayPort::Done done) { return tunnel_->open_packets(std::move(done)); }});
    open_tunnel();
    node_->start([this](Result<void> ready) {
      if (!ready.ok()) return give_up(ready.error());
      base::log(base::Level::kInfo, "agent", "node {} is ready after {} ms", options_.node_name,
                loop_.monotonic_ms() - begun_ms_);
      notify_service_manager("READY=1");
    });
  }

  // For what the server cannot dial.
  void open_tunnel() {
    agent::TunnelOptions tunnel;
    tunnel.servers = agent::ServerList(servers_);
    tunnel.tls = join_->client_tls();
    tunnel.user_agent = user_agent();
    tunnel.allowed = [this](const std::string& host, uint16_t port) {
      return node_->may_be_dialed(host, port);
    };
    tunnel.server_is_there = [this](bool packets) {
      if (auto* relay = node_->relay()) relay->server_is_there(packets);
    };
    tunnel_ = std::make_unique<agent::Tunnel>(loop_, random_, std::move(tunnel));
  }

  // Also before there is a node, while the cluster's settings are awaited.
  void renewed() {
    auto outgoing = client_->reload(join_->client_tls());
    Result<void> through, incoming;
    if (tunnel_) through = tunnel_->reload(join_->client_tls());
    if (node_) incoming = node_->reload_tls(join_->serving_tls());
    for (const auto& reloaded : {outgoing, through, incoming}) {
      if (!reloaded.ok()) base::log(base::Level::kError, "join", "{}", reloaded.error().message);
    }
    base::log(base::Level::kInfo, "join", "certificates are renewed");
  }

  std::string user_agent() const { return std::string("knarr-agent/") + kVersion; }

  void give_up(const Error& error) {
    status_ = fail(error.message);
    loop_.stop();
  }

  void stop() {
    if (std::exchange(stopping_, true)) return loop_.stop();  // asked twice
    base::log(base::Level::kInfo, "agent", "stopping; pods go on running");
    notify_service_manager("STOPPING=1");
    if (!node_) return loop_.stop();
    node_->drain(0, [this] { loop_.stop(); });
  }

  AgentOptions& options_;
  base::Loop loop_;
  base::SystemRandom random_;
  int64_t begun_ms_ = 0;
  std::shared_ptr<agent::ServerBook> servers_;
  std::unique_ptr<agent::Join> join_;
  std::unique_ptr<agent::Memory> memory_;
  std::unique_ptr<agent::RemoteClient> client_;
  std::unique_ptr<agent::ServerWatch> server_watch_;
  std::unique_ptr<ClusterSettings> settings_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<agent::Tunnel> tunnel_;
  bool stopping_ = false;
  int status_ = 0;
};

}  // namespace

int agent_command(const Args& args) {
  AgentOptions options;
  FlagSet flags = agent_flags(options);
  auto read = read_agent_options(args, flags, options);
  if (auto status = flags.settled(read)) return *status;
  if (options.debug) base::set_log_level(base::Level::kDebug);
  prepare_process();
  return Process(options).run();
}

}  // namespace knarr::cli
