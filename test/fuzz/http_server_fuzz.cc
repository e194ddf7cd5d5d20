// Any bytes to a plain server over a socket: HTTP/1.1, or HTTP/2 when they begin with its preface
// (a first byte of 'P' stands for the whole preface, so that the fuzzer gets there). Two tunnels
// that are asked for are joined.
#include <sys/socket.h>

#include "net/server.h"

using namespace knarr;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 60000) return 0;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes[0] == 'P') bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.substr(1);
  base::Loop loop;
  net::Server server(loop);
  net::Splices echoes;
  std::unique_ptr<net::ByteStream> waiting;
  (void)server.serve(std::nullopt, [&](net::ExchangePtr exchange) {
    if (!exchange->request.protocol.empty()) {
      auto stream = exchange->upgrade({});
      if (!stream.ok()) return;
      if (waiting == nullptr) {
        waiting = std::move(*stream);
      } else {
        echoes.add(std::move(waiting), std::move(*stream));
      }
      return;
    }
    exchange->respond(200, {}, std::move(exchange->request.body));
  });
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) return 0;
  server.adopt(base::UniqueFd(fds[0]));
  base::UniqueFd peer(fds[1]);
  (void)!write(peer.get(), bytes.data(), bytes.size());
  shutdown(peer.get(), SHUT_WR);
  loop.run_until([&] { return server.connections() == 0; }, 50);
  return 0;
}
