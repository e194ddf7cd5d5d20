// Reads a path of a node's own API for the server itself, by the way that requests of others take.
// Loop thread.
#pragma once

#include <memory>
#include <string>

#include "knarr/clock.h"
#include "server/http/node_proxy.h"
#include "server/metrics/node_metrics.h"

namespace knarr::server {

class NodeFetch final : public NodeReader {
 public:
  NodeFetch(NodeProxy& nodes, Clock& clock) : nodes_(nodes), clock_(clock) {}
  std::unique_ptr<Reading> read(const ObjectRef& node, const std::string& path, Done done) override;

 private:
  class Exchange;

  NodeProxy& nodes_;
  Clock& clock_;
};

}  // namespace knarr::server
