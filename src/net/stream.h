// A two-way stream of bytes with back pressure in both directions: a TCP or TLS connection, an
// upgraded HTTP connection, one stream of a SPDY session, one channel of a WebSocket. Loop thread
// only.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "knarr/result.h"
#include "net/bytes.h"

namespace knarr::net {

// Destroying a stream after finish() still sends what was written, then closes; destroying it
// without finish() cuts the connection. No event comes after. A stream may be destroyed from within
// any of its events. No event comes from within a call on the stream.
class ByteStream {
 public:
  struct Events {
    std::function<void(std::string_view bytes)> on_data;
    std::function<void()> on_end;    // the peer sends no more; writing is still possible
    std::function<void()> on_drain;  // after a write that said false: go on writing
    std::function<void(const Error& error)> on_close;  // broken, or closed both ways: the last one
  };

  virtual ~ByteStream() = default;
  // Replaces the events; nothing is delivered before the first call. Empty functions are allowed.
  virtual void listen(Events events) = 0;
  // All bytes are taken. false: more than the stream likes to hold is waiting, write on at on_drain
  // (or the stream is closed).
  virtual bool write(Buffers bytes) = 0;
  virtual size_t queued_bytes() const = 0;
  virtual void finish() = 0;  // sends what is queued, then tells the peer there is no more
  virtual void pause() = 0;   // no on_data and no on_end until resume
  virtual void resume() = 0;
  // Runs fn when this turn of the loop ends, unless the stream is gone by then. For streams that
  // stand on this one; a fake may call at once.
  virtual void later(std::function<void()> fn) { fn(); }
  virtual bool is_socket() const { return false; }  // it is a Socket (net/socket.h)
};

// Spliced pairs that end with their owner, both streams cut.
class Splices {
 public:
  Splices();
  ~Splices();
  Splices(const Splices&) = delete;
  Splices& operator=(const Splices&) = delete;
  void add(std::unique_ptr<ByteStream> a, std::unique_ptr<ByteStream> b);
  size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Copies both ways with back pressure until both directions ended or one broke; then destroys both
// and calls done once (which may be empty).
void splice(std::unique_ptr<ByteStream> a, std::unique_ptr<ByteStream> b,
            std::function<void()> done);

}  // namespace knarr::net
