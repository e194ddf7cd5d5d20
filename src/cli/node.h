// The node of one process, put together in its order and ended in reverse: images, runtime,
// network, agent, and what others reach it by.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "agent/agent.h"
#include "agent/api/node_access.h"
#include "agent/api/node_api.h"
#include "agent/local_api.h"
#include "agent/preload.h"
#include "cli/kubelet_args.h"
#include "cli/node_network.h"
#include "cli/node_options.h"
#include "knarr/client.h"
#include "knarr/random.h"
#include "net/server.h"
#include "runtime/image/image_store.h"
#include "runtime/image/puller.h"
#include "runtime/image/snapshot.h"

namespace knarr::cli {

class Node {
 public:
  struct Deps {
    base::Loop& loop;
    Random& random;
    client::Client& client;
    const NodeOptions& options;
    net::TlsConfig tls;                             // of the node's own port
    std::string key_fingerprint;                    // tells the node from others of its name
    agent::RelayPort::Open open_packets = nullptr;  // the server's packet relay
  };
  explicit Node(Deps deps);
  ~Node();

  // `ready` once, when the node is Ready in the API; an error when it cannot be.
  void start(std::function<void(Result<void>)> ready);
  // Null until the images are open.
  agent::NodeApi* api() { return api_.get(); }
  // Whether the server may be led there, through a tunnel: to the node's own port, or to a pod.
  bool may_be_dialed(const std::string& host, uint16_t port) const;
  // Null while it has no network.
  agent::RelayPort* relay() { return network_ ? &network_->relay() : nullptr; }
  // The node's own port shows another certificate from now on.
  Result<void> reload_tls(const net::TlsConfig& tls);
  // As net::Server::drain, of the node's own port.
  void drain(int64_t limit_ms, std::function<void()> done);

 private:
  Result<void> prepare();
  void open_images();
  void preload_images();
  void run();
  Result<void> listen();
  void serve(const net::ExchangePtr& exchange);
  void answer(const net::ExchangePtr& exchange);

  Deps deps_;
  KubeletSettings settings_;
  std::function<void(Result<void>)> ready_;
  std::unique_ptr<runtime::ImageStore> images_;
  std::unique_ptr<runtime::SnapshotStore> snapshots_;
  std::unique_ptr<agent::Preload> preload_;
  std::set<std::string> preloaded_;  // ids of images
  std::unique_ptr<runtime::Puller> puller_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<NodeNetwork> network_;           // null with --disable-network
  std::unique_ptr<agent::PodNetwork> no_network_;  // then this
  std::unique_ptr<agent::Agent> agent_;
  std::unique_ptr<agent::NodeApi> api_;
  std::unique_ptr<agent::NodeAccess> access_;
  std::unique_ptr<net::Server> server_;
  std::unique_ptr<agent::LocalApi> local_;
};

}  // namespace knarr::cli
