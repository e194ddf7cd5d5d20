// The network of the pods of one node: a bridge, and for each pod a veth pair into its namespace,
// an address from each of the node's pod CIDRs, default routes. Traffic that leaves the cluster
// CIDR is masqueraded; host ports are published.
//
// What is attached is on disk, a file a sandbox, so that adopted pods keep their addresses. A
// bridge that others take away is made again, with the pods that were on it. Kernel work is done by
// a worker thread of its own, in order; state is the loop thread's.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/network/address_pool.h"
#include "agent/network/bridge_keeper.h"
#include "agent/network/host_ports.h"
#include "agent/network/links.h"
#include "agent/proxy/node_rules.h"
#include "agent/services.h"
#include "base/worker.h"

namespace knarr::agent {

struct BridgeOptions {
  std::string bridge = "knarr0";
  std::string cluster_cidr = "10.42.0.0/16";  // of each IP family one
  // When given, the host reaches it through the bridge, so that services work from a machine
  // without a default route, and packets to what is no service do not leave it.
  std::string service_cidr;
  std::vector<std::string> host_addresses;  // further addresses of the bridge: cluster DNS
  int mtu = 0;                              // 0: that of the link with node_ip, see below
  std::string state_dir;                    // "<data-dir>/agent/network"
  int mtu_overhead = 0;                     // that packets between nodes grow by
  std::string node_ip;                      // unknown: the link with the default route
  bool direct_routes = false;               // to other nodes' pods, by the machine's own links
};

class BridgeNetwork final : public PodNetwork {
 public:
  BridgeNetwork(base::Loop& loop, NodeRules rules, BridgeOptions options);
  ~BridgeNetwork() override;

  // The node's ranges, once they are known ("10.42.0.0/24,fd00:42::/64"); attachments wait for
  // them. Makes the bridge. Only the first call counts. `done` when the bridge is up.
  Result<void> set_pod_cidr(const std::string& cidrs, std::function<void()> done = {});

  void attach(const PodRef& pod, const std::string& sandbox_id, const std::string& netns,
              Callback<std::vector<std::string>> done) override;
  void detach(const std::string& sandbox_id, Callback<void> done) override;
  void keep_only(const std::vector<std::string>& sandbox_ids) override;

 private:
  struct Attachment {
    std::vector<std::string> addresses;
    std::vector<HostPort> ports;
  };
  struct Request {
    PodRef pod;
    std::string sandbox_id;
    std::string netns;
    Callback<std::vector<std::string>> done;
  };
  void load();
  BridgeKeeper::Job make_bridge() const;
  void attach_now(Request request);
  void attached(const Request& request, Result<void> result);
  void drop(const std::string& sandbox_id);
  void publish_host_ports(Iptables::Done done);
  std::string state_path(const std::string& sandbox_id) const;
  Result<std::vector<std::string>> take_addresses(const std::string& sandbox_id);
  void free_addresses(const std::string& sandbox_id);
  std::vector<std::string> gateways() const;

  NodeRules rules_;
  BridgeOptions options_;
  BridgeConfig config_;  // once the ranges are known
  std::vector<AddressPool> pools_;
  std::map<std::string, Attachment> attachments_;  // by sandbox
  std::vector<Request> waiting_;                   // for the range
  std::shared_ptr<BridgeLinks> links_;             // used by worker_ alone
  BridgeKeeper keeper_;
  base::Worker worker_;
};

// What all pods need: masquerading of what leaves the cluster, forwarding, DNS, and the host's
// 127.0.0.0/8 kept from pods. Pure.
RuleSet network_rules(const BridgeOptions& options, const std::string& pod_cidrs,
                      const std::string& prefix, bool v6 = false);

}  // namespace knarr::agent
