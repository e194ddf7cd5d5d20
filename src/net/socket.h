// A connected TCP or unix socket as a ByteStream, with TLS inside when asked for. Reads into one
// buffer shared by all; writes are collected and sent at the end of the turn; plaintext is
// encrypted only when the kernel takes it, so that a slow peer's queue holds shared slices.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "net/http.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/turn.h"

namespace knarr::net {

constexpr size_t kHighWater = 256 * 1024;  // queued bytes past which write() says false
constexpr size_t kLowWater = 64 * 1024;    // where on_drain comes

class Socket final : public ByteStream {
  struct State;

 public:
  // Takes over a connected descriptor.
  static Result<std::unique_ptr<Socket>> adopt(std::shared_ptr<TurnQueue> turns, base::UniqueFd fd);
  // Takes over an open handle: a heap-allocated uv_tcp_t or uv_pipe_t.
  Socket(std::shared_ptr<TurnQueue> turns, uv_stream_t* handle);
  ~Socket() override;

  // Runs a handshake; before it is done no events come.
  void secure(std::shared_ptr<TlsContext> context, const std::string& host,
              std::function<void(Result<void>)> done);
  // Gives bytes back: they are delivered before what comes.
  void unread(std::string bytes);
  // Back to the state before listen(): for whoever takes the socket over.
  void unlisten();
  // The kernel asks a peer of TCP that says nothing for 10 s, and ends the connection when 15 s
  // pass without an answer.
  void keep_alive();
  // Also, when what is sent is not taken for 25 s. For peers that always read.
  void expect_answers();
  // For who must be able to cut it wherever it has gone.
  class Ref {
   public:
    bool is_there() const { return !state_.expired(); }
    void cut(const Error& error) const;  // the owner is told

   private:
    friend class Socket;
    std::weak_ptr<State> state_;
  };
  Ref ref() const;
  ConnectionInfo info() const;
  bool http2() const;  // chosen by ALPN

  void listen(Events events) override;
  bool write(Buffers bytes) override;
  size_t queued_bytes() const override;
  void finish() override;
  void pause() override;
  void resume() override;
  void later(std::function<void()> fn) override;
  bool is_socket() const override { return true; }

 private:
  std::shared_ptr<State> state_;
};

// Closes a heap-allocated uv_tcp_t or uv_pipe_t.
void close_stream(uv_stream_t* handle);

}  // namespace knarr::net
