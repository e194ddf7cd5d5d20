// An HTTP/1.1 and HTTP/2 server on the loop, over TLS (ALPN chooses) or plain TCP (HTTP/2 when the
// client begins with its preface). One Server is one listening socket. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/result.h"
#include "net/http.h"
#include "net/tls.h"

namespace knarr::net {

struct ServerLimits {
  size_t header_bytes = 64 * 1024;      // past it 431
  size_t body_bytes = 3 * 1024 * 1024;  // past it 413, with this body when there is one:
  std::string too_large_type, too_large_body;
  size_t buffered_bytes = 64 * 1024 * 1024;  // of all bodies that are being read; past it 429
  int64_t handshake_timeout_ms = 10000;
  int64_t header_timeout_ms = 32000;  // from a request's first byte to the end of its headers
  int64_t body_timeout_ms = 60000;    // from there to the end of its body
  int64_t idle_timeout_ms = 180000;   // between requests
  uint32_t http2_streams = 250;       // at once, a connection
  // Past it, or past half of the process's descriptors, the newest is closed at once.
  size_t connections = 65536;
};

class Server {
 public:
  explicit Server(base::Loop& loop, ServerLimits limits = {});
  ~Server();  // cuts every connection; exchanges that live on do nothing. Upgraded streams live on
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // address is an IP ("0.0.0.0", "::", "127.0.0.1"); port 0 lets the kernel choose. Call once.
  Result<void> listen(const std::string& address, uint16_t port, std::optional<TlsConfig> tls,
                      Handler handler);
  // Serves connections that come through adopt() only.
  Result<void> serve(std::optional<TlsConfig> tls, Handler handler);
  void adopt(base::UniqueFd fd);  // a connected stream socket

  uint16_t port() const;  // that is listened on
  size_t connections() const;

  // New connections use it; those that live keep what they have.
  Result<void> reload(const TlsConfig& tls);

  // Stops listening; idle connections close at once, others when their requests are answered
  // (HTTP/2: GOAWAY; HTTP/1.1: Connection: close), all after limit_ms. Then upgraded ones are cut,
  // and done is called.
  void drain(int64_t limit_ms, std::function<void()> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knarr::net
