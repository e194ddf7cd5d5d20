// From the kernel through TLS to who listens. What nobody wants yet stays in the kernel, or waits
// as `unread` and inside the TLS engine.
#include "net/socket_state.h"

namespace knarr::net {

namespace {

constexpr size_t kReadBytes = 64 * 1024;

}  // namespace

void Socket::State::update_reading() {
  bool want = handle != nullptr && !peer_ended && (may_deliver() || handshake_done);
  if (want == reading) return;
  reading = want;
  if (!want) {
    if (handle != nullptr) uv_read_stop(handle);
    return;
  }
  uv_read_start(
      handle,
      [](uv_handle_t*, size_t, uv_buf_t* buffer) {
        thread_local char shared[kReadBytes];
        *buffer = uv_buf_init(shared, kReadBytes);
      },
      [](uv_stream_t* h, ssize_t size, const uv_buf_t* buffer) {
        auto* state = static_cast<State*>(h->data);
        if (state == nullptr || size == 0) return;
        std::shared_ptr<State> keep = state->shared_from_this();
        state->on_read(size, buffer);
      });
}

void Socket::State::on_read(ssize_t size, const uv_buf_t* buffer) {
  if (size == UV_EOF) {
    peer_ended = true;
    if (handshake_done) {
      fail(make_error(Code::kServiceUnavailable, "tls handshake: connection closed by peer"));
    }
    update_reading();
    wake();
  } else if (size < 0) {
    fail(uv_error(static_cast<int>(size), "read"));
  } else if (tls) {
    on_cipher({buffer->base, static_cast<size_t>(size)});
  } else {
    deliver({buffer->base, static_cast<size_t>(size)});
  }
}

void Socket::State::on_cipher(std::string_view bytes) {
  tls->feed(bytes);
  if (handshake_done) handshake();
  if (!handshake_done) deliver_tls();
  tls->release_input();
  if (!tls->output().empty()) wake();
}

void Socket::State::handshake() {
  Result<bool> done = tls->handshake();
  wake();
  if (!done.ok()) {
    write_some();  // the alert
    fail(done.error());
    return;
  }
  if (!*done) return;
  auto callback = std::exchange(handshake_done, nullptr);
  update_reading();
  callback({});
}

// Plaintext out of the engine, as long as somebody wants it.
void Socket::State::deliver_tls() {
  thread_local char plain[16 * 1024 + 256];
  while (may_deliver() && unread.empty() && !failed) {
    Result<size_t> n = tls->read(plain, sizeof plain);
    if (!n.ok()) return fail(n.error());
    if (*n == 0) break;
    events.call(&Events::on_data, std::string_view(plain, *n));
  }
  if (tls->ended() && !peer_ended) {
    peer_ended = true;
    update_reading();
    wake();
  }
}

void Socket::State::deliver(std::string_view bytes) {
  if (!may_deliver() || !unread.empty()) {
    unread += bytes;
    return;
  }
  events.call(&Events::on_data, bytes);
}

void Socket::State::deliver_waiting() {
  if (may_deliver() && !unread.empty()) {
    std::string bytes = std::exchange(unread, {});
    events.call(&Events::on_data, std::string_view(bytes));
  }
  if (tls && may_deliver() && !failed) {
    deliver_tls();
    tls->release_input();
  }
  if (peer_ended && may_deliver() && unread.empty() && !end_told && !failed) {
    end_told = true;
    events.call(&Events::on_end);
  }
}

}  // namespace knarr::net
