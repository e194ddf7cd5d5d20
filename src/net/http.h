// What a server's handler sees of HTTP, the same for HTTP/1.1 and HTTP/2: a Request, and an
// Exchange to answer it with. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "net/bytes.h"
#include "net/headers.h"
#include "net/stream.h"

namespace knarr::net {

// What the peer of a TLS connection showed.
struct PeerCertificate {
  std::vector<std::string> chain_der;  // the leaf first
  std::string common_name;             // of the leaf's subject; the last when it has several
  std::vector<std::string> organizations;
  std::string key_fingerprint;  // of the leaf's public key, as net::key_fingerprint()
  int64_t not_after = 0;        // seconds since the epoch
  bool verified = false;        // signed by the configured CA, in time, for its purpose
  std::string verify_error;     // why not: OpenSSL's words
};

// Of one connection, shared by its requests.
struct ConnectionInfo {
  std::string peer_ip;
  uint16_t peer_port = 0;
  std::string local_ip;
  uint16_t local_port = 0;
  bool tls = false;
  std::shared_ptr<const PeerCertificate> certificate;  // null when the peer showed none
};

struct Request {
  std::string method;
  std::string protocol;  // of an extended CONNECT (RFC 8441), else empty; its body is the stream's
  std::string path;      // as sent, not decoded; begins with '/' (or is "*")
  std::string query;     // as sent, without '?'
  Headers headers;       // HTTP/2's :authority is "host"
  std::string body;
  int version = 11;  // 10, 11 or 20
  std::shared_ptr<const ConnectionInfo> connection;
};

// One request and its answer. A handler may keep it as long as it likes; after the peer is gone,
// calls do nothing. Dropping the last reference unanswered sends a 500; dropping it between start()
// and finish() cuts the answer visibly (HTTP/1.1: the connection closes; HTTP/2: RST_STREAM).
// No callback comes from within a call on the exchange. Framing headers (Content-Length,
// Transfer-Encoding, Connection, Date) are written by net; the answer to a HEAD loses its body.
class Exchange {
 public:
  virtual ~Exchange() = default;

  Request request;  // the handler may move parts out of it

  // The whole answer in one write. Nothing may follow.
  virtual void respond(int status, Headers headers, Buffers body) = 0;

  // An answer of unknown length. A write is sent at the end of this turn of the loop, together with
  // what else was written in it. false: more than 256 KiB is waiting for the peer; go on at
  // on_drain.
  virtual void start(int status, Headers headers) = 0;
  virtual bool write(Buffers bytes) = 0;
  virtual void finish() = 0;
  virtual void abort() = 0;  // cuts the answer visibly

  virtual bool started() const = 0;
  virtual bool open() const = 0;  // the peer is there and the answer is not finished
  virtual size_t queued_bytes() const = 0;
  virtual void on_drain(std::function<void()> fn) = 0;
  // Once, when the peer goes away or the server ends the connection before finish(). Both functions
  // are dropped when the exchange is over: they may hold the exchange itself.
  virtual void on_close(std::function<void()> fn) = 0;

  // Answers 101 with these headers (Upgrade and Connection among them) and takes the connection
  // over. On HTTP/2 a request with a protocol is answered with 200, and its stream is what comes of
  // it; error kBadRequest for others there. For WebSocket and SPDY see accept_websocket,
  // accept_spdy.
  virtual Result<std::unique_ptr<ByteStream>> upgrade(Headers headers) = 0;
};

using ExchangePtr = std::shared_ptr<Exchange>;
using Handler = std::function<void(ExchangePtr)>;

// "Not Found" for 404; "" for what is not registered.
std::string_view reason_phrase(int status);

}  // namespace knarr::net
