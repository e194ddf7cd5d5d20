// The other end of a plain connection, byte by byte: what a test sends as it is, what comes back as
// it came.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <string>

#include "base/loop.h"
#include "net/dial.h"
#include "net/server.h"

namespace knarr::net {

class RawPeer {
 public:
  RawPeer(base::Loop& loop, Server& server) : loop_(loop) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) return;
    server.adopt(base::UniqueFd(fds[0]));
    stream = adopt_fd(loop, base::UniqueFd(fds[1]));
    stream->listen({
        [this](std::string_view bytes) { received += bytes; },
        [this] { ended = true; },
        {},
        [this](const Error&) { ended = true; },
    });
  }
  void send(std::string bytes) { stream->write(std::move(bytes)); }
  // Waits until the text has come.
  bool wait_for(const std::string& text) {
    return loop_.run_until([&] { return received.find(text) != std::string::npos; }, 5000);
  }
  bool wait_for_end() {
    return loop_.run_until([&] { return ended; }, 5000);
  }

  std::unique_ptr<ByteStream> stream;
  std::string received;
  bool ended = false;

 private:
  base::Loop& loop_;
};

}  // namespace knarr::net
