// SPDY/3.1, as clients from before WebSocket use it to carry several streams over one upgraded
// HTTP/1.1 connection. SpdyCodec is the framing without I/O; SpdyConnection runs sessions of it
// over a ByteStream, each SPDY stream being a ByteStream again. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "net/headers.h"
#include "net/http.h"
#include "net/stream.h"

namespace knarr::net {

struct SpdyFrame {
  enum class Kind {
    kData,
    kSynStream,
    kSynReply,
    kRstStream,
    kSettings,
    kPing,
    kGoaway,
    kHeaders,
    kWindowUpdate
  } kind = Kind::kData;
  uint32_t stream = 0;  // GOAWAY: the last good stream; PING: its id
  bool fin = false;
  bool unidirectional = false;  // of SYN_STREAM
  uint32_t value = 0;           // RST_STREAM, GOAWAY: status; WINDOW_UPDATE: delta
  Headers headers;              // of SYN_STREAM, SYN_REPLY, HEADERS
  std::string data;             // of DATA
  std::vector<std::pair<uint32_t, uint32_t>> settings;  // id, value
};

// Frames to bytes and back. Both directions keep a zlib state: one codec a connection.
class SpdyCodec {
 public:
  SpdyCodec();
  ~SpdyCodec();
  SpdyCodec(const SpdyCodec&) = delete;
  SpdyCodec& operator=(const SpdyCodec&) = delete;
  Result<std::vector<SpdyFrame>> feed(std::string_view bytes);  // an error ends the session
  std::string encode(const SpdyFrame& frame);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class SpdyStream : public ByteStream {
 public:
  virtual const Headers& headers() const = 0;  // of the SYN_STREAM
  virtual uint32_t id() const = 0;
  virtual void reset(uint32_t status) = 0;  // RST_STREAM
};

// Destroying it cuts the session unless finish() was called; its streams are closed first.
class SpdyConnection {
 public:
  enum class Role { kServer, kClient };
  struct Events {
    // A stream that the peer opened; SYN_REPLY has been sent. Dropping it resets it.
    std::function<void(std::unique_ptr<SpdyStream>)> on_stream;
    std::function<void(const Error& error)> on_close;  // the last one
  };
  SpdyConnection(std::unique_ptr<ByteStream> stream, Role role);
  ~SpdyConnection();

  void listen(Events events);
  std::unique_ptr<SpdyStream> open(Headers headers);
  void finish();  // GOAWAY; closes when what was written is sent

 private:
  struct State;
  std::shared_ptr<State> state_;
};

bool is_spdy_request(const Request& request);
// Answers 101 with these headers beside Upgrade and Connection. kBadRequest when the request does
// not ask for SPDY/3.1: nothing was answered then.
Result<std::unique_ptr<SpdyConnection>> accept_spdy(Exchange& exchange, Headers headers = {});

}  // namespace knarr::net
