// Brings the kernel's routes, and the VXLAN device with its entries, to what a plan says: only what
// differs is touched, and what is ours and not in the plan is removed. Our routes are known by
// their protocol number and by leading into the cluster's range. Blocking: one worker thread.
#pragma once

#include <optional>

#include "agent/network/overlay_plan.h"
#include "agent/network/routes.h"
#include "agent/proxy/netlink.h"
#include "knarr/result.h"

namespace knarr::agent {

inline constexpr uint8_t kRouteProtocol = 107;  // `ip route show proto 107`

class OverlayLinks {
 public:
  explicit OverlayLinks(OverlayOptions options) : options_(std::move(options)) {}

  // What one node's entries, or the relay's link, are refused for does not keep those of others
  // from being made; the error is the first.
  Result<void> apply(const OverlayPlan& plan);
  // The ranges that lead to the relay's link.
  Result<std::vector<api::Cidr>> relayed();

 private:
  struct Devices {
    int tunnel = 0;  // none
    int relay = 0;
    int mtu = 0;
  };
  Result<Devices> apply_tunnel(const OverlayPlan& plan);
  Result<void> apply_relay(const OverlayPlan& plan, Devices& devices);
  Result<void> set_up(const std::string& device, int index, const Vtep& vtep);
  Result<void> remove_device(const std::string& name, const std::string& kind);
  Result<void> apply_routes(const OverlayPlan& plan, const Devices& devices);
  Result<void> clear_gateway(std::vector<Route>& present, const Route& wanted);
  Result<std::vector<Route>> present_routes(const Devices& devices);

  OverlayOptions options_;
  std::optional<Netlink> netlink_;
};

}  // namespace knarr::agent
