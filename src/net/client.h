// An asynchronous HTTP client: HTTP/2 when ALPN says so (or when told that the server speaks it),
// else HTTP/1.1; connections are pooled by origin and reused. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/loop.h"
#include "knarr/result.h"
#include "net/bytes.h"
#include "net/dial.h"
#include "net/headers.h"
#include "net/stream.h"
#include "net/tls.h"

namespace knarr::net {

struct ClientOptions {
  TlsConfig tls;
  int64_t connect_timeout_ms = 10000;  // name, TCP and TLS together
  int64_t idle_timeout_ms = 90000;     // of a pooled connection
  bool http2_prior_knowledge = false;  // for http:// and unix:// (gRPC)
  std::string unix_path = {};          // dial this socket, whatever the URL's host is
  Dialer dial = {};                    // empty: dial_tcp
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;  // "https://host:port/path?query"
  // Told to ClientOptions::dial; requests of different routes share no connection.
  std::string route;
  std::string protocol;  // of upgrade(): asked for by an extended CONNECT
  Headers headers;       // Host and Content-Length are added
  Buffers body;
  bool stream_body = false;              // Call::write and finish send the body after `body`
  int64_t timeout_ms = 0;                // until the headers of the answer; 0: none
  size_t body_limit = 64 * 1024 * 1024;  // of fetch()
};

struct ResponseEvents {
  std::function<void(int status, const Headers& headers)> on_headers;
  std::function<void(std::string_view bytes)> on_data;
  std::function<void(const Headers& trailers)> on_end;  // the last call, or
  std::function<void(const Error& error)> on_error;     // this one is
  std::function<void()> on_drain;                       // of a streamed body
};

// Destroying it cancels the request; no event comes after. May happen within any event.
class Call {
 public:
  virtual ~Call() = default;
  virtual void pause() = 0;  // no on_data and no on_end until resume
  virtual void resume() = 0;
  virtual bool write(Buffers bytes) = 0;
  virtual void finish() = 0;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;
  Headers trailers;
  std::unique_ptr<ByteStream> stream;  // of upgrade(), when status is 101 (or 2xx, with a protocol)
};

using ResponseCallback = std::function<void(Result<Response>)>;

class Client {
 public:
  explicit Client(base::Loop& loop, ClientOptions options = {});
  // Cancels every call without a word. Upgraded streams live on, but break when they are of HTTP/2.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Errors: kServiceUnavailable when no connection comes about or it breaks; kTimeout; kBadRequest
  // for a bad URL. A request that a reused connection refused before any answer is sent once more
  // on a new one when its method is idempotent.
  std::unique_ptr<Call> send(ClientRequest request, ResponseEvents events);
  // The same, gathering the body.
  std::unique_ptr<Call> fetch(ClientRequest request, ResponseCallback done);
  // Over HTTP/1.1 on a connection of its own, the request with its Upgrade headers; any answer but
  // 101 comes gathered, with no stream. With a protocol it is a CONNECT (RFC 8441) on a pooled
  // HTTP/2 connection, sent at once: ask servers that are known to take it. Any answer but 2xx
  // comes gathered then; method and body mean nothing.
  std::unique_ptr<Call> upgrade(ClientRequest request, ResponseCallback done);

  // New connections use it; pooled ones carry what they carry to its end, and no more. Those on
  // their way are made anew.
  Result<void> reload(const TlsConfig& tls);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knarr::net
