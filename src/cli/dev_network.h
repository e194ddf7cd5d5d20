// The network of a `knarr dev` cluster: a bridge in a namespace of its own, a link from it to the
// host and one to each node's namespace. (On a bridge in the host's namespace, frames between nodes
// would meet the host's iptables rules.) The host routes and masquerades what nodes send elsewhere.
// Namespaces are files below a folder, not `ip netns` names, which would leave a mount behind.
// Needs privileges; blocking; the calling thread is in the host's namespace between calls.
#pragma once

#include <string>
#include <vector>

#include "cli/dev_cluster.h"
#include "knarr/result.h"

namespace knarr::cli {

class DevNetwork {
 public:
  explicit DevNetwork(const DevCluster& cluster)
      : subnet_(cluster.subnet),
        folder_(cluster.run() + "/net"),
        run_root_(cluster.place.run_root) {}

  // One that no link of this machine has, nor a cluster.
  static Result<int> free_subnet(const std::vector<int>& taken);

  std::string address(int node) const;  // 10.89.N.2 is node 0's
  std::string namespace_of(int node) const;

  // What is there already is left as it is. `publish`: "HOSTPORT:PORT[/udp]", to node 0.
  Result<void> ensure(int nodes, const std::vector<std::string>& publish) const;
  // Links and rules of the host. Namespaces end with their mounts and processes. `last`: no other
  // cluster needs the host to forward.
  Result<void> remove(bool last) const;

 private:
  std::string host_link() const { return "knarr-dev" + std::to_string(subnet_); }
  std::string prefix() const { return "KNARRDEV" + hex(); }
  std::string hex() const;
  std::string forward_before() const { return run_root_ + "/.ip_forward"; }
  Result<void> make_switch(int mtu) const;
  Result<void> make_node(int node, int mtu) const;
  Result<void> set_rules(const std::vector<std::string>& publish) const;

  int subnet_;
  std::string folder_, run_root_;
};

// "8080:80" or "5353:53/udp".
struct Published {
  std::string host_port, port, protocol = "tcp";
};
Result<Published> parse_published(const std::string& text);

}  // namespace knarr::cli
