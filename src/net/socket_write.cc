// From the queue through TLS to the kernel, at the end of a turn: first what the kernel takes at
// once, then a request for the rest. Plaintext is encrypted only when the kernel takes it.
#include <sys/socket.h>

#include <algorithm>

#include "net/socket_state.h"

namespace knarr::net {

namespace {

constexpr size_t kEncryptBytes = 64 * 1024;  // plaintext encrypted at a time
constexpr size_t kRecordsOverhead = 256;     // what TLS adds to that
constexpr int kMaxSlices = 64;

}  // namespace

bool Socket::State::start_write(const uv_buf_t* bufs, unsigned count) {
  int rc = uv_write(&write_request, handle, bufs, count, [](uv_write_t* request, int status) {
    auto* state = static_cast<State*>(request->data);
    std::shared_ptr<State> keep = std::exchange(state->self, nullptr);
    state->on_written(status);
  });
  if (rc != 0) {
    fail(uv_error(rc, "write"));
    return false;
  }
  write_request.data = this;
  self = shared_from_this();
  writing = true;
  return false;
}

void Socket::State::on_written(int status) {
  writing = false;
  in_flight.clear();
  cipher.clear();
  cipher_sent = 0;
  if (status < 0) return fail(uv_error(status, "write"));
  wake();
}

// Gives the kernel what it takes at once, and a request for the rest. true: go on.
bool Socket::State::write_some() {
  if (handle == nullptr || writing) return false;
  if (tls) {
    if (!handshake_done && !queue.empty()) {
      size_t plain = std::min(queue.size(), kEncryptBytes);
      tls->output().reserve(tls->output().size() + plain + kRecordsOverhead);
      if (Result<void> r = tls->encrypt(queue.take(kEncryptBytes)); !r.ok()) {
        fail(r.error());
        return false;
      }
    }
    if (tls->output().empty()) {
      tls->output() = std::string();
      cipher = std::string();
      return false;
    }
    cipher.swap(tls->output());  // two buffers take turns until all is sent
    uv_buf_t buf = uv_buf_init(cipher.data(), static_cast<unsigned>(cipher.size()));
    int sent = uv_try_write(handle, &buf, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
      fail(uv_error(sent, "write"));
      return false;
    }
    cipher_sent = sent > 0 ? static_cast<size_t>(sent) : 0;
    if (cipher_sent == cipher.size()) {
      cipher.clear();
      cipher_sent = 0;
      return true;
    }
    buf = uv_buf_init(cipher.data() + cipher_sent,
                      static_cast<unsigned>(cipher.size() - cipher_sent));
    return start_write(&buf, 1);
  }
  if (queue.empty()) return false;
  uv_buf_t bufs[kMaxSlices];
  auto fill = [&bufs](const Buffers& from) {
    unsigned count = 0;
    for (const Slice& slice : from) {
      if (count == kMaxSlices) break;
      bufs[count++] =
          uv_buf_init(const_cast<char*>(slice.view().data()), static_cast<unsigned>(slice.size()));
    }
    return count;
  };
  int sent = uv_try_write(handle, bufs, fill(queue));
  if (sent < 0 && sent != UV_EAGAIN) {
    fail(uv_error(sent, "write"));
    return false;
  }
  if (sent > 0) {
    queue.consume(static_cast<size_t>(sent));
    return true;
  }
  unsigned count = fill(queue);
  size_t bytes = 0;
  for (unsigned i = 0; i < count; i++) bytes += bufs[i].len;
  in_flight = queue.take(bytes);
  return start_write(bufs, count);
}

void Socket::State::shut_down_writing() {
  shut_down = true;
  if (orphaned) {
    uv_os_fd_t fd;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &fd) == 0) ::shutdown(fd, SHUT_WR);
    close();
    return;
  }
  shutdown_request.data = this;
  int rc = uv_shutdown(&shutdown_request, handle, [](uv_shutdown_t* request, int) {
    auto* state = static_cast<State*>(request->data);
    std::shared_ptr<State> keep = std::exchange(state->self, nullptr);
    state->wake();
  });
  if (rc == 0) self = shared_from_this();
}

void Socket::State::flush() {
  while (write_some()) {
  }
  if (handle == nullptr || writing || !queue.empty() || !finishing || shut_down) return;
  if (handshake_done) return;
  if (tls) {
    tls->close_notify();
    while (write_some()) {
    }
    if (handle == nullptr || writing) {
      return;  // comes again when it is written; a second close_notify is no harm
    }
  }
  shut_down_writing();
}

}  // namespace knarr::net
