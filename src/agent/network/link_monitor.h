// Hears from the kernel when a link comes, goes, or is brought up or down, and when a route of ours
// is deleted. No timer. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::agent {

// The links of which these messages say so; an empty name for a route.
std::vector<std::string> links_changed_by(std::string_view messages);

class LinkMonitor {
 public:
  // Told the link's name; an empty one for a route, and when something was missed. `v6`: also of
  // IPv6 routes.
  LinkMonitor(base::Loop& loop, bool v6, std::function<void(const std::string& name)> changed);

  // In the network namespace of the caller.
  Result<void> start();

 private:
  void receive();

  base::Loop& loop_;
  bool v6_;
  std::function<void(const std::string&)> changed_;
  base::UniqueFd socket_;
  std::unique_ptr<base::FdWatch> watch_;
};

}  // namespace knarr::agent
