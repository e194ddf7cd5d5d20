#include "net/socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "knarr/check.h"
#include "net/event_slot.h"
#include "net/tls_engine.h"

namespace knarr::net {

namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kEncryptBytes = 64 * 1024;  // plaintext encrypted at a time
constexpr size_t kRecordsOverhead = 256;     // what TLS adds to that
constexpr unsigned kLingerMs = 30000;        // for what is queued when the owner has gone
constexpr int kMaxSlices = 64;

Error uv_error(int code, const char* what) {
  return make_error(Code::kServiceUnavailable, std::string(what) + ": " + uv_strerror(code));
}

void describe(const sockaddr_storage& address, std::string& ip, uint16_t& port) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
    port = ntohs(v6.sin6_port);
  }
  ip = text;
}

}  // namespace

void close_stream(uv_stream_t* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* h) {
    if (h->type == UV_TCP) {
      delete reinterpret_cast<uv_tcp_t*>(h);
    } else {
      delete reinterpret_cast<uv_pipe_t*>(h);
    }
  });
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

void Socket::State::close() {
  if (handle == nullptr) return;
  handle->data = nullptr;
  close_stream(std::exchange(handle, nullptr));
  queue.clear();
}

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

void Socket::State::end_of_turn() {
  std::shared_ptr<State> keep = shared_from_this();
  for (std::function<void()>& task : std::exchange(tasks, {})) {
    if (!orphaned) task();
  }
  if (!failed) {
    update_reading();
    deliver_waiting();
  }
  flush();
  if (wants_drain && queued() <= kLowWater && !failed && !orphaned) {
    wants_drain = false;
    events.call(&Events::on_drain);
  }
  if (!failed && end_told && shut_down && !orphaned) {
    fail(make_error(Code::kCanceled, "connection closed"));
  }
  if (failed && !close_told && !orphaned) {
    if (handshake_done) {
      close_told = true;
      auto callback = std::exchange(handshake_done, nullptr);
      callback(failure);
    } else if (listening) {
      close_told = true;
      events.call(&Events::on_close, failure);
    }
  }
}

Socket::Socket(std::shared_ptr<TurnQueue> turns, uv_stream_t* handle)
    : state_(std::make_shared<State>()) {
  state_->turns = std::move(turns);
  state_->handle = handle;
  handle->data = state_.get();
  if (handle->type == UV_TCP) {
    auto* tcp = reinterpret_cast<uv_tcp_t*>(handle);
    uv_tcp_nodelay(tcp, 1);
    uv_tcp_keepalive(tcp, 1, 30);
  }
}

Result<std::unique_ptr<Socket>> Socket::adopt(std::shared_ptr<TurnQueue> turns, base::UniqueFd fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return errno_error(errno, "getsockname");
  }
  if (address.ss_family == AF_UNIX) {
    auto* pipe = new uv_pipe_t;
    uv_pipe_init(turns->loop(), pipe, 0);
    if (int rc = uv_pipe_open(pipe, fd.get()); rc != 0) {
      close_stream(reinterpret_cast<uv_stream_t*>(pipe));
      return uv_error(rc, "adopt socket");
    }
    fd.release();
    return std::make_unique<Socket>(std::move(turns), reinterpret_cast<uv_stream_t*>(pipe));
  }
  auto* tcp = new uv_tcp_t;
  uv_tcp_init(turns->loop(), tcp);
  if (int rc = uv_tcp_open(tcp, fd.get()); rc != 0) {
    close_stream(reinterpret_cast<uv_stream_t*>(tcp));
    return uv_error(rc, "adopt socket");
  }
  fd.release();
  return std::make_unique<Socket>(std::move(turns), reinterpret_cast<uv_stream_t*>(tcp));
}

Socket::~Socket() {
  State& s = *state_;
  s.events.clear();
  s.tasks.clear();
  s.handshake_done = nullptr;
  s.orphaned = true;
  if (!s.finishing || s.failed || s.shut_down || s.handle == nullptr) {
    s.failed = true;
    s.close();
    return;
  }
  // The kernel gives up on a peer that takes nothing: no timer of ours has to.
  if (s.handle->type == UV_TCP) {
    uv_os_fd_t fd;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(s.handle), &fd) == 0) {
      setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kLingerMs, sizeof kLingerMs);
    }
  }
  s.update_reading();
  s.wake();
}

void Socket::secure(std::shared_ptr<TlsContext> context, const std::string& host,
                    std::function<void(Result<void>)> done) {
  state_->tls = std::make_unique<TlsEngine>(std::move(context), host);
  state_->handshake_done = std::move(done);
  (void)state_->tls->handshake();  // a client's first flight; an error cannot come yet
  state_->wake();
}

void Socket::unread(std::string bytes) {
  if (bytes.empty()) return;
  state_->unread.insert(0, bytes);
  state_->wake();
}

void Socket::unlisten() {
  state_->events.clear();
  state_->listening = false;
  state_->paused = false;
  state_->update_reading();
}

ConnectionInfo Socket::info() const {
  ConnectionInfo info;
  if (state_->handle != nullptr && state_->handle->type == UV_TCP) {
    auto* tcp = reinterpret_cast<uv_tcp_t*>(state_->handle);
    sockaddr_storage address{};
    int size = sizeof address;
    if (uv_tcp_getpeername(tcp, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
      describe(address, info.peer_ip, info.peer_port);
    }
    size = sizeof address;
    if (uv_tcp_getsockname(tcp, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
      describe(address, info.local_ip, info.local_port);
    }
  }
  info.tls = state_->tls != nullptr;
  if (state_->tls) info.certificate = state_->tls->peer_certificate();
  return info;
}

bool Socket::http2() const { return state_->tls && state_->tls->http2(); }

void Socket::listen(Events events) {
  state_->events.set(std::move(events));
  state_->listening = true;
  state_->wake();
}

bool Socket::write(Buffers bytes) {
  State& s = *state_;
  if (s.failed || s.finishing) return false;
  s.queue.append(std::move(bytes));
  s.wake();
  if (s.queued() <= kHighWater) return true;
  s.wants_drain = true;
  return false;
}

size_t Socket::queued_bytes() const { return state_->queued(); }

void Socket::finish() {
  state_->finishing = true;
  state_->wake();
}

void Socket::pause() {
  state_->paused = true;
  state_->update_reading();
}

void Socket::resume() {
  state_->paused = false;
  state_->wake();
}

void Socket::later(std::function<void()> fn) {
  state_->tasks.push_back(std::move(fn));
  state_->wake();
}

}  // namespace knarr::net
