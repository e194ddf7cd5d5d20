// Cluster DNS, answered by knarr itself: UDP and TCP at the cluster's DNS address, names of the
// cluster from ServiceWatch, all others from the node's own resolvers. The address is assigned by
// the network (BridgeOptions::host_addresses); the sockets are bound before it is there. Loop
// thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "agent/dns/forwarder.h"
#include "agent/dns/records.h"
#include "agent/proxy/service_watch.h"
#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/random.h"

namespace knarr::agent {

struct DnsOptions {
  std::string address;  // "10.43.0.10"
  uint16_t port = 53;
  std::string domain = "cluster.local";
  std::string resolv_conf = "/etc/resolv.conf";
  uint32_t ttl_seconds = 5;
};

class DnsServer {
 public:
  DnsServer(base::Loop& loop, ServiceWatch& services, Random& random, DnsOptions options);
  ~DnsServer();

  // Error when the port is taken.
  Result<void> start();
  uint16_t port() const { return options_.port; }  // with port 0: the one the kernel chose
  void set_upstream_port(uint16_t port) { forwarder_.set_port(port); }  // for tests

 private:
  class Connection;
  using Send = std::function<void(std::string bytes)>;
  void read_datagrams();
  void accept_connections();
  // One query as it came. `send` is called once, at once or later; never for what is no query.
  void handle(std::string_view query, bool tcp, Send send);
  void answer(const net::dns::Message& query, const DnsAnswer& answer, size_t limit, Send send);
  void follow(net::dns::Message reply, DnsAnswer alias, uint16_t type, size_t limit, Send send);
  void spread(std::vector<net::dns::Record>& records);
  void drop(Connection* connection);

  base::Loop& loop_;
  ServiceWatch& services_;
  Random& random_;
  DnsOptions options_;
  DnsZone zone_;
  Forwarder forwarder_;
  base::UniqueFd udp_, tcp_;
  std::unique_ptr<base::FdWatch> udp_watch_, tcp_watch_;
  std::list<std::shared_ptr<Connection>> connections_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
