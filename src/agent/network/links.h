// The bridge and the veth pairs in the kernel, by rtnetlink. Blocking, and enters network
// namespaces: used by one worker thread, which is in the host's namespace between calls.
//
// A pod has its address as a /32 and the bridge's as its only neighbour: all it sends is routed by
// the host, even to a pod on the same bridge. So connection tracking sees both directions of every
// flow, and services work without the br_netfilter module. Pods take no ICMP redirects, which would
// undo it. With IPv6 the bridge has its pods as permanent neighbours, and they have it; they have
// no link-local addresses, and broadcasts of theirs reach the bridge alone: what no policy sees.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::agent {

struct BridgeConfig {
  std::string name;
  std::vector<std::string> addresses;       // "10.42.0.1/24", of each IP family one
  std::vector<std::string> host_addresses;  // "10.43.0.10": each as a /32
  std::string service_cidr;                 // of each IP family one, or none
  int mtu = 0;                              // 0: that of the link with node_ip, see below
  int mtu_overhead = 0;                     // that packets between nodes grow by
  std::string node_ip;                      // unknown: the default route's link, else 1500
  std::string state_dir;                    // remembers kernel settings that were changed
  bool direct_routes = false;               // to other nodes' pods, by the machine's own links
};

struct PodLink {
  std::string sandbox_id;
  std::string netns;                   // path
  std::vector<std::string> addresses;  // "10.42.0.5", of each IP family one
  std::vector<std::string> gateways;   // "10.42.0.1", in the same order
};

// What is on the bridge, or was.
struct PodPort {
  std::string sandbox_id;
  std::vector<std::string> addresses;
};

class BridgeLinks {
 public:
  BridgeLinks();
  ~BridgeLinks();

  // Makes the bridge, or brings the one that is there to what it should be. Forwarding on. Does
  // nothing when that is done, until an attach fails.
  Result<void> ensure(const BridgeConfig& config);
  // Does it in any case, and puts pods on the bridge whose links are there and on none.
  Result<void> restore(const BridgeConfig& config, const std::vector<PodPort>& pods);
  // After ensure. A link that is there already is taken over.
  Result<void> attach(const PodLink& link);
  // Good when it is gone already.
  Result<void> detach(const std::string& bridge, const std::string& sandbox_id,
                      const std::vector<std::string>& addresses);

 private:
  Result<void> attach_to_bridge(const PodLink& link);
  struct State;
  std::unique_ptr<State> state_;
};

// "knarr" and ten characters that stand for the sandbox: the host's end of its veth pair.
std::string host_link_name(const std::string& sandbox_id);
// Whether a link has such a name.
bool is_pod_link(std::string_view name);

}  // namespace knarr::agent
