// WebSocket (RFC 6455), both sides. WebSocketCodec is the framing without I/O; WebSocket runs it
// over a ByteStream; WebSocketChannels splits one WebSocket into ByteStreams, each message led by a
// byte that names its channel. Loop thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "net/http.h"
#include "net/stream.h"

namespace knarr::net {

struct WebSocketMessage {
  enum class Kind { kText, kBinary, kPing, kPong, kClose } kind = Kind::kBinary;
  std::string data;         // of a close: the reason
  uint16_t close_code = 0;  // of a close: 1005 when the frame had none
};

class WebSocketCodec {
 public:
  enum class Role { kServer, kClient };
  WebSocketCodec(Role role, size_t max_message_bytes);
  ~WebSocketCodec();
  WebSocketCodec(const WebSocketCodec&) = delete;
  WebSocketCodec& operator=(const WebSocketCodec&) = delete;

  // Whole messages in order of arrival. An error ends the connection; output() then holds the close
  // frame that says so. Pings are answered by themselves: of those that came since the last
  // output(), the last one.
  Result<std::vector<WebSocketMessage>> feed(std::string_view bytes);
  void queue(const WebSocketMessage& message);
  std::string output();  // frames to send, taken out

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Destroying it without close() cuts the connection. Same rules for callbacks as ByteStream.
class WebSocket {
 public:
  struct Events {
    std::function<void(std::string_view bytes, bool text)> on_message;
    std::function<void()> on_drain;
    // The last one. code: of the peer's close frame; 1006 when the connection broke.
    std::function<void(uint16_t code, std::string_view reason)> on_close;
  };
  WebSocket(std::unique_ptr<ByteStream> stream, WebSocketCodec::Role role, std::string subprotocol,
            size_t max_message_bytes);
  ~WebSocket();

  const std::string& subprotocol() const;
  WebSocketCodec::Role role() const;
  void listen(Events events);
  bool send(std::string_view bytes, bool text = false);  // false: go on at on_drain
  void ping(std::string_view payload = {});
  // Sends a close frame after what is queued; the connection ends when the peer answers it. The
  // object may be destroyed at once.
  void close(uint16_t code, std::string_view reason);
  size_t queued_bytes() const;
  void pause();
  void resume();
  void later(std::function<void()> fn);  // as of ByteStream

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Request::protocol of one over HTTP/2 (RFC 8441). Its method is told as GET, as over HTTP/1.1.
inline constexpr const char* kWebSocketProtocol = "websocket";
bool is_websocket_request(const Request& request);
// What the client offers in Sec-WebSocket-Protocol, in its order.
std::vector<std::string> offered_subprotocols(const Request& request);
// kBadRequest when the request is no proper WebSocket handshake: nothing was answered then.
Result<std::unique_ptr<WebSocket>> accept_websocket(Exchange& exchange, std::string subprotocol,
                                                    size_t max_message_bytes = 32 * 1024 * 1024);
// The client's half: headers for Client::upgrade, and the check of its answer.
Headers websocket_request_headers(const std::string& key,
                                  const std::vector<std::string>& protocols);
std::string websocket_accept_key(std::string_view key);

// The WebSocket's binary messages as one stream of bytes (a protocol tunnelled in it). finish()
// closes the WebSocket.
std::unique_ptr<ByteStream> websocket_bytes(std::unique_ptr<WebSocket> socket);

// Byte streams 0..count-1 over one WebSocket. close_signal: a message {255, n} of the client
// half-closes channel n; a server's finish() of a channel sends nothing, and without it neither
// does a client's. on_close of every channel tells
// the end of the socket. The socket is closed (1000) when this object and all its channels are
// gone.
class WebSocketChannels {
 public:
  WebSocketChannels(std::unique_ptr<WebSocket> socket, int count, bool close_signal);
  ~WebSocketChannels();
  std::unique_ptr<ByteStream> channel(int number);  // once each; bytes that come before it wait

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace knarr::net
