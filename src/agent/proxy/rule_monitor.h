// Hears when rules are taken away: the kernel tells every change of nftables' tables, which is
// where iptables-nft keeps its own. (iptables-legacy tells nobody.) No timer, no wake-up while
// nothing is removed. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/proxy/netlink.h"
#include "knarr/result.h"

namespace knarr::agent {

// The netlink ports of those who, by these messages of group NFNLGRP_NFTABLES, removed a chain of
// ours or a rule that names one, in tables of the IP family. A port is mostly the number of the
// process.
std::vector<uint32_t> removers_of(std::string_view messages, std::string_view prefix,
                                  bool v6 = false);

class RuleMonitor {
 public:
  // Told the remover's port; 0 when something was missed.
  RuleMonitor(base::Loop& loop, const std::string& prefix, bool v6,
              const std::function<void(uint32_t port)>& removed);

  // In the network namespace of the caller.
  Result<void> start();

 private:
  NetlinkEar ear_;
};

}  // namespace knarr::agent
