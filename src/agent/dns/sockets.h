// Sockets of DNS: bound or connected to one address, non-blocking.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::agent {

// Both of one server, at one port.
struct DnsSockets {
  base::UniqueFd udp, tcp;
  uint16_t port = 0;
};

// Bound, and listening for TCP; the address need not be there yet. For port 0 a port is chosen that
// both can have.
Result<DnsSockets> bind_dns_sockets(const std::string& address, uint16_t port);
// Connected, or (TCP) connecting.
Result<base::UniqueFd> connect_dns_socket(bool tcp, const std::string& address, uint16_t port);

}  // namespace knarr::agent
