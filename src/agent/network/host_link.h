// What a node needs for itself where plug-ins of others make the network of its pods: a link that
// has the addresses of cluster DNS and the way to services, forwarding, and that packets between
// pods of one bridge meet the rules of services. What cannot be made is tried again, at once when
// the machine's links change; a link that others take away is made anew. Loop thread; kernel work
// on a worker's.
#pragma once

#include "agent/network/bridge_network.h"
#include "agent/network/link_monitor.h"
#include "knarr/clock.h"

namespace knarr::agent {

class HostLink {
 public:
  // Of the options: bridge (the link's name), host_addresses, service_cidr, state_dir.
  HostLink(base::Loop& loop, NodeRules rules, BridgeOptions options);

  void start();

 private:
  void make();
  void made(const Result<void>& result);
  void link_changed(const std::string& name);

  NodeRules rules_;
  BridgeOptions options_;
  base::Worker worker_;
  LinkMonitor monitor_;
  std::unique_ptr<Timer> retry_;
  int64_t retry_ms_ = 0;  // 0: the last attempt was good
  bool making_ = false;
  bool again_ = false;  // something changed while it was made
};

}  // namespace knarr::agent
