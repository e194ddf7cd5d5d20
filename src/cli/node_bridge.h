// From the API server's NodeProxy to nodes: without a socket to the one in the same process, to the
// kubelet's port of others; through a node's own tunnel when it has one, else directly. Loop
// thread.
#pragma once

#include <string>

#include "agent/api/http_proxy.h"
#include "cli/node.h"
#include "server/cache/cache.h"
#include "server/http/node_proxy.h"
#include "server/http/node_tunnels.h"

namespace knarr::cli {

class NodeBridge final : public server::NodeProxy {
 public:
  struct Deps {
    base::Loop& loop;
    server::Cache& cache;
    server::NodeTunnels& tunnels;
    net::TlsConfig kubelet_tls;  // the API server's own certificate, towards kubelets
    Node* node = nullptr;        // of this process, if any
    std::string node_name = {};  // its
  };
  explicit NodeBridge(Deps deps);

  void handle(net::ExchangePtr exchange, server::NodeRequest request) override;
  // New connections to kubelets use it.
  Result<void> reload(const net::TlsConfig& kubelet_tls) { return kubelets_.reload(kubelet_tls); }

 private:
  struct Kubelet {
    std::string name;
    std::string host;  // with its brackets when it has any
    int64_t port = 0;
  };

  Result<void> pass(const net::ExchangePtr& exchange, const server::NodeRequest& request);
  Result<void> here(const net::ExchangePtr& exchange, const server::NodeRequest& request);
  Result<void> pod(const net::ExchangePtr& exchange, const server::NodeRequest& request);
  Result<void> pod_proxy(const net::ExchangePtr& exchange, const server::NodeRequest& request,
                         const json::Value& pod);
  Result<void> node(const net::ExchangePtr& exchange, const server::NodeRequest& request);
  Result<void> service(const net::ExchangePtr& exchange, const server::NodeRequest& request);
  Result<void> ask_kubelet(const net::ExchangePtr& exchange, const server::NodeRequest& request,
                           const std::string& node, const std::string& container);
  static Result<void> check_address(const std::string& text);
  Result<Kubelet> kubelet_of(const std::string& node) const;
  bool is_here(const std::string& node) const;
  std::string route(const std::string& node) const;
  net::Dialer dialer() const;

  Deps deps_;
  agent::HttpProxy backends_;
  agent::HttpProxy kubelets_;
};

}  // namespace knarr::cli
