// Network namespaces for tests, as pods and as nodes have them, and connections between them.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <string>
#include <thread>

#include "base/format.h"
#include "base/unique_fd.h"

namespace knarr::agent {

// A pod's network namespace, kept by its descriptor; sockets made inside stay inside.
class FakePod {
 public:
  FakePod() {
    std::thread([this] {
      if (unshare(CLONE_NEWNET) == 0) fd_.reset(open("/proc/thread-self/ns/net", O_RDONLY));
    }).join();
  }
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_.get()); }
  void inside(const std::function<void()>& fn) const {
    std::thread([&] {
      if (setns(fd_.get(), CLONE_NEWNET) == 0) fn();
    }).join();
  }
  base::UniqueFd fd_;
};

// IPv6 or IPv4.
struct SocketAddress {
  SocketAddress(const std::string& ip, uint16_t port) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    bool is_v6 = ip.find(':') != std::string::npos;
    storage.ss_family = is_v6 ? AF_INET6 : AF_INET;
    (is_v6 ? v6->sin6_port : v4->sin_port) = htons(port);
    inet_pton(storage.ss_family, ip.c_str(),
              is_v6 ? static_cast<void*>(&v6->sin6_addr) : static_cast<void*>(&v4->sin_addr));
    size = is_v6 ? sizeof *v6 : sizeof *v4;
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr_storage storage{};
  socklen_t size = 0;
};

inline sockaddr_in address(const std::string& ip, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &a.sin_addr);
  return a;
}

inline base::UniqueFd listen_on(uint16_t port) {
  base::UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SocketAddress a("::", port);  // of both families
  if (bind(fd.get(), a.get(), a.size) != 0) return {};
  listen(fd.get(), 16);
  return fd;
}

// Without blocking: a refusal that comes while connect(2) holds the socket is only heard of with
// the next attempt, a second later.
inline bool connects(const std::string& ip, uint16_t port, int timeout_ms = 3000) {
  SocketAddress a(ip, port);
  base::UniqueFd fd(socket(a.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(fd.get(), a.get(), a.size) == 0) return true;
  pollfd p{fd.get(), POLLOUT, 0};
  if (errno != EINPROGRESS || poll(&p, 1, timeout_ms) != 1) return false;
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

// The address of who connected; empty when nobody did.
inline std::string accepted_from(const base::UniqueFd& listener, int timeout_ms = 1000) {
  pollfd p{listener.get(), POLLIN, 0};
  if (poll(&p, 1, timeout_ms) != 1) return {};
  sockaddr_in6 from{};
  socklen_t size = sizeof from;
  base::UniqueFd fd(accept(listener.get(), reinterpret_cast<sockaddr*>(&from), &size));
  char text[INET6_ADDRSTRLEN];
  std::string out = inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text);
  return out.starts_with("::ffff:") ? out.substr(7) : out;
}

}  // namespace knarr::agent
