// Sockets of DNS: bound or connected to one address, non-blocking.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::agent {

// Bound, and listening when TCP; the address need not be there yet. port 0 is set to the one that
// the kernel chose.
Result<base::UniqueFd> bind_dns_socket(bool tcp, const std::string& address, uint16_t& port);
// Connected, or (TCP) connecting.
Result<base::UniqueFd> connect_dns_socket(bool tcp, const std::string& address, uint16_t port);

// A TCP message's two bytes of length and the message.
std::string framed(const std::string& message);
// Takes the first whole message off the buffer; false when there is none yet.
bool take_frame(std::string& buffer, std::string& message);

}  // namespace knarr::agent
