#include "net/socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "knarr/check.h"
#include "net/socket_state.h"

namespace knarr::net {

namespace {

constexpr int kLingerMs = 30000;  // for what is queued when the owner has gone
constexpr int kNotTakenMs = 25000;
constexpr int kIdleS = 10, kProbeS = 5, kProbes = 3;

void set_tcp_option(uv_stream_t* handle, int option, int value) {
  uv_os_fd_t fd;
  if (handle == nullptr || handle->type != UV_TCP) return;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &fd) != 0) return;
  setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
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

void Socket::State::close() {
  if (handle == nullptr) return;
  handle->data = nullptr;
  close_stream(std::exchange(handle, nullptr));
  queue.clear();
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
  set_tcp_option(s.handle, TCP_USER_TIMEOUT, kLingerMs);
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

void Socket::keep_alive() {
  set_tcp_option(state_->handle, TCP_KEEPIDLE, kIdleS);  // it is switched on for all
  set_tcp_option(state_->handle, TCP_KEEPINTVL, kProbeS);
  set_tcp_option(state_->handle, TCP_KEEPCNT, kProbes);
}

void Socket::expect_answers() {
  keep_alive();
  set_tcp_option(state_->handle, TCP_USER_TIMEOUT, kNotTakenMs);
}

Socket::Ref Socket::ref() const {
  Ref ref;
  ref.state_ = state_;
  return ref;
}

void Socket::Ref::cut(const Error& error) const {
  if (auto state = state_.lock()) state->fail(error);
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
