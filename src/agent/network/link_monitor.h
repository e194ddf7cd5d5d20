// Hears from the kernel when a link comes, goes, or is brought up or down, when an address comes
// (IPv6 forgets those of a link that goes down), and when a route of ours is deleted. No timer.
// Loop thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/proxy/netlink.h"
#include "knarr/result.h"

namespace knarr::agent {

// The links of which these messages say so; an empty name for routes and addresses.
std::vector<std::string> links_changed_by(std::string_view messages);

class LinkMonitor {
 public:
  // Told the link's name; an empty one for routes and addresses, and when something was missed.
  // `v6`: also of IPv6 routes.
  LinkMonitor(base::Loop& loop, bool v6,
              const std::function<void(const std::string& name)>& changed);

  // In the network namespace of the caller.
  Result<void> start();

 private:
  bool v6_;
  NetlinkEar ear_;
};

}  // namespace knarr::agent
