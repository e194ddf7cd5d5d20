// The bridge and the veth pairs in the kernel, by rtnetlink. Blocking, and enters network
// namespaces: used by one worker thread, which is in the host's namespace between calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "knarr/result.h"

namespace knarr::agent {

struct BridgeConfig {
  std::string name;
  std::string address;                      // "10.42.0.1/24"
  std::vector<std::string> host_addresses;  // "10.43.0.10": each as a /32
  std::string service_cidr;                 // may be empty
  int mtu = 0;                              // 0: that of the default route's link, else 1500
  std::string state_dir;                    // remembers kernel settings that were changed
};

struct PodLink {
  std::string sandbox_id;
  std::string netns;    // path
  std::string address;  // "10.42.0.5/24"
  std::string gateway;  // "10.42.0.1"
};

class BridgeLinks {
 public:
  BridgeLinks();
  ~BridgeLinks();

  // Makes the bridge, or brings the one that is there to what it should be. Forwarding on.
  Result<void> ensure(const BridgeConfig& config);
  // After ensure. A link that is there already is taken over.
  Result<void> attach(const PodLink& link);
  // Good when it is gone already.
  Result<void> detach(const std::string& sandbox_id);
  // Removes the bridge and every veth on it, restores kernel settings.
  Result<void> remove(const std::string& bridge, const std::string& state_dir);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// "knarr" and ten characters that stand for the sandbox: the host's end of its veth pair.
std::string host_link_name(const std::string& sandbox_id);

}  // namespace knarr::agent
