// The inside of a Socket, shared by its files: reading (socket_read.cc), writing (socket_write.cc),
// and what belongs to both (socket.cc).
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/event_slot.h"
#include "net/socket.h"
#include "net/tls_engine.h"

namespace knarr::net {

inline Error uv_error(int code, const char* what) {
  return make_error(Code::kServiceUnavailable, std::string(what) + ": " + uv_strerror(code));
}

// Owned by the Socket and, while a request to libuv is under way, by itself.
struct Socket::State final : TurnTask, std::enable_shared_from_this<State> {
  std::shared_ptr<TurnQueue> turns;
  uv_stream_t* handle = nullptr;  // null when closed
  std::unique_ptr<TlsEngine> tls;
  std::function<void(Result<void>)> handshake_done;  // set during the handshake
  EventSlot<Events> events;
  std::vector<std::function<void()>> tasks;  // of later()
  std::string unread;
  Buffers queue;       // plaintext that waits
  Buffers in_flight;   // in the kernel's hands
  std::string cipher;  // the same, encrypted
  size_t cipher_sent = 0;
  uv_write_t write_request{};
  uv_shutdown_t shutdown_request{};
  std::shared_ptr<State> self;  // while a request is in flight: libuv answers closed ones too
  bool listening = false, paused = false, reading = false;
  bool peer_ended = false, end_told = false;
  bool finishing = false, shut_down = false;
  bool writing = false, wants_drain = false, orphaned = false;
  bool failed = false, close_told = false;
  Error failure;

  ~State() override {
    if (handle != nullptr) close_stream(handle);
  }

  void wake() { turns->add(shared_from_this()); }
  size_t queued() const { return queue.size() + in_flight.size() + cipher.size() - cipher_sent; }

  void fail(Error error) {
    if (failed) return;
    failed = true;
    failure = std::move(error);
    close();
    wake();
  }
  void close();
  void update_reading();
  void on_read(ssize_t size, const uv_buf_t* buffer);
  void on_cipher(std::string_view bytes);
  void on_written(int status);
  void deliver(std::string_view bytes);
  void deliver_tls();
  void deliver_waiting();
  void handshake();
  void flush();
  bool write_some();
  bool start_write(const uv_buf_t* bufs, unsigned count);
  void shut_down_writing();
  void end_of_turn() override;
  bool may_deliver() const { return listening && !paused && !orphaned && !handshake_done; }
};

}  // namespace knarr::net
