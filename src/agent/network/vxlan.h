// A VXLAN device. Blocking.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/proxy/netlink.h"
#include "api/ip.h"
#include "knarr/result.h"

namespace knarr::agent {

struct VxlanConfig {
  std::string name;
  uint32_t vni = 1;
  uint16_t port = 8472;
  std::optional<api::IpAddress> local;
  bool v6 = false;  // between nodes
  int link = 0;     // that packets leave by; 0: what the routes say
  std::string mac;
  int mtu = 1450;
};

// The device's index. One that differs in what can't be changed is made anew; a link of another
// kind is a conflict, and stays. It learns nothing, and leaves no checksums to the hardware:
// kernels and cards get those of packets wrong that were translated before they were wrapped, and
// such packets are dropped at the other end.
Result<int> ensure_vxlan(Netlink& netlink, const VxlanConfig& config);

}  // namespace knarr::agent
