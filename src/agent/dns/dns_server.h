// Cluster DNS, answered by knarr itself: UDP and TCP at the cluster's DNS address, names of the
// cluster from ServiceWatch, all others from the node's own resolvers. Here are the sockets; what
// is answered is the resolver's. The address is assigned by the network
// (BridgeOptions::host_addresses); the sockets are bound before it is there. Loop thread.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "agent/dns/resolver.h"
#include "agent/proxy/service_watch.h"
#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/random.h"

namespace knarr::agent {

class DnsServer {
 public:
  DnsServer(base::Loop& loop, ServiceWatch& services, Random& random, DnsOptions options);
  ~DnsServer();

  // Error when the port is taken.
  Result<void> start();
  uint16_t port() const { return options_.port; }  // with port 0: the one the kernel chose
  void set_upstream_port(uint16_t port) { resolver_.set_upstream_port(port); }  // for tests
  // What a ConfigMap adds, from now on.
  void set_custom(CustomDns custom) { resolver_.set_custom(std::move(custom)); }

 private:
  class Connection;
  void read_datagrams();
  void accept_connections();
  void drop(Connection* connection);

  base::Loop& loop_;
  DnsOptions options_;
  Resolver resolver_;
  base::UniqueFd udp_, tcp_;
  std::unique_ptr<base::FdWatch> udp_watch_, tcp_watch_;
  std::list<std::shared_ptr<Connection>> connections_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
