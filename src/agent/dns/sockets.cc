#include "agent/dns/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/format.h"

namespace knarr::agent {

namespace {

constexpr int kBacklog = 128;
constexpr size_t kPortsToTry = 32;

// The length of the address, 0 when the text is none.
socklen_t make_address(const std::string& text, uint16_t port, sockaddr_storage& out) {
  memset(&out, 0, sizeof out);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof *v4;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
  }
  return 0;
}

Result<base::UniqueFd> make_socket(bool tcp, int family) {
  int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  base::UniqueFd fd(socket(family, type, 0));
  if (!fd.valid()) return errno_error(errno, "open a socket");
  return fd;
}

// port 0 is set to the one that the kernel chose.
Result<base::UniqueFd> bind_socket(bool tcp, const std::string& address, uint16_t& port) {
  std::string what = fmt::format("bind {} {}:{}", tcp ? "tcp" : "udp", address, port);
  sockaddr_storage to;
  socklen_t size = make_address(address, port, to);
  if (size == 0) return make_error(Code::kInvalid, what + ": not an address");
  TRY_ASSIGN(base::UniqueFd fd, make_socket(tcp, to.ss_family));
  int on = 1;
  bool v6 = to.ss_family == AF_INET6;
  setsockopt(fd.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on,
             sizeof on);
  if (tcp) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&to), size) != 0) return errno_error(errno, what);
  if (tcp && listen(fd.get(), kBacklog) != 0) return errno_error(errno, what);
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&to), &size) == 0) {
    port = ntohs(v6 ? reinterpret_cast<sockaddr_in6*>(&to)->sin6_port
                    : reinterpret_cast<sockaddr_in*>(&to)->sin_port);
  }
  return fd;
}

}  // namespace

Result<DnsSockets> bind_dns_sockets(const std::string& address, uint16_t port) {
  std::vector<base::UniqueFd> refused;  // held, so that the kernel chooses another port
  while (true) {
    DnsSockets out;
    out.port = port;
    TRY_ASSIGN(out.tcp, bind_socket(true, address, out.port));
    // What the kernel chose for TCP may be somebody's for UDP.
    auto udp = bind_socket(false, address, out.port);
    if (udp.ok()) {
      out.udp = std::move(*udp);
      return out;
    }
    refused.push_back(std::move(out.tcp));
    if (port != 0 || refused.size() == kPortsToTry) return udp.error();
  }
}

Result<base::UniqueFd> connect_dns_socket(bool tcp, const std::string& address, uint16_t port) {
  std::string what = fmt::format("connect to {}:{}", address, port);
  sockaddr_storage to;
  socklen_t size = make_address(address, port, to);
  if (size == 0) return make_error(Code::kInvalid, what + ": not an address");
  TRY_ASSIGN(base::UniqueFd fd, make_socket(tcp, to.ss_family));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size) != 0 && errno != EINPROGRESS) {
    return errno_error(errno, what);
  }
  return fd;
}

}  // namespace knarr::agent
