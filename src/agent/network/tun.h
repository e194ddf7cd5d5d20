// A link of the kernel's whose packets a process reads and writes. Blocking, short.
#pragma once

#include <string>

#include "agent/proxy/netlink.h"
#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::agent {

inline constexpr const char* kTunKind = "tun";  // as rtnetlink calls it

// Each read gives a whole IP packet, each write takes one; non-blocking. The link, made when it is
// not there, stays after the process with its addresses and routes: what goes there meanwhile is
// lost.
Result<base::UniqueFd> open_tun(const std::string& name);
// The link that is there, up; its index. A link of another kind is a conflict.
Result<int> set_up_tun(Netlink& netlink, const std::string& name, int mtu);

}  // namespace knarr::agent
