// From the API server's NodeProxy to the node in the same process: no sockets between.
#pragma once

#include "agent/api/http_proxy.h"
#include "cli/node.h"
#include "server/cache/cache.h"
#include "server/http/node_proxy.h"

namespace knarr::cli {

class NodeBridge final : public server::NodeProxy {
 public:
  NodeBridge(base::Loop& loop, Node& node, server::Cache& cache);
  void handle(net::ExchangePtr exchange, server::NodeRequest request) override;

 private:
  Result<void> pass(const net::ExchangePtr& exchange, const server::NodeRequest& request);
  Result<void> service(const net::ExchangePtr& exchange, const server::NodeRequest& request);

  Node& node_;
  server::Cache& cache_;
  agent::HttpProxy proxy_;
};

}  // namespace knarr::cli
