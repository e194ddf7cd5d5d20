// What a node needs for itself where plug-ins of others make the network of its pods: a link that
// has the addresses of cluster DNS and the way to services, forwarding, and that packets between
// pods of one bridge meet the rules of services. Loop thread; kernel work on a worker's.
#pragma once

#include "agent/network/bridge_network.h"

namespace knarr::agent {

class HostLink {
 public:
  // Of the options: bridge (the link's name), host_addresses, service_cidr, state_dir.
  HostLink(base::Loop& loop, NodeRules rules, BridgeOptions options);

  void start();

 private:
  NodeRules rules_;
  BridgeOptions options_;
  BridgeKeeper keeper_;
  base::Worker worker_;
};

}  // namespace knarr::agent
