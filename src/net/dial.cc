#include "net/dial.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>

#include "net/socket.h"

namespace knarr::net {

namespace {

using StreamCallback = std::function<void(Result<std::unique_ptr<ByteStream>>)>;

std::string address_text(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    uv_ip4_name(reinterpret_cast<const sockaddr_in*>(address), text, sizeof text);
  } else {
    uv_ip6_name(reinterpret_cast<const sockaddr_in6*>(address), text, sizeof text);
  }
  return text;
}

// The request outlives its Pending when libuv cannot cancel it any more.
struct Resolve {
  uv_getaddrinfo_t request{};
  std::string host;
  std::function<void(Result<std::vector<std::string>>)> done;  // empty: canceled
};

class PendingResolve final : public Pending {
 public:
  explicit PendingResolve(std::shared_ptr<Resolve> state) : state_(std::move(state)) {}
  ~PendingResolve() override {
    if (!state_->done) return;
    state_->done = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&state_->request));
  }

 private:
  std::shared_ptr<Resolve> state_;
};

void resolved(uv_getaddrinfo_t* request, int status, addrinfo* list) {
  std::unique_ptr<std::shared_ptr<Resolve>> holder(
      static_cast<std::shared_ptr<Resolve>*>(request->data));
  std::shared_ptr<Resolve> state = *holder;
  std::vector<std::string> addresses;
  for (addrinfo* a = list; a != nullptr; a = a->ai_next) {
    std::string text = address_text(a->ai_addr);
    if (!text.empty()) addresses.push_back(std::move(text));
  }
  uv_freeaddrinfo(list);
  auto done = std::exchange(state->done, nullptr);
  if (!done) return;
  if (status != 0 || addresses.empty()) {
    done(make_error(
        Code::kServiceUnavailable,
        "lookup " + state->host + ": " + (status != 0 ? uv_strerror(status) : "no such host")));
  } else {
    done(std::move(addresses));
  }
}

// Tries one address after the other; the timer is for all of it. `finished` guards the callback.
struct Dial : std::enable_shared_from_this<Dial> {
  base::Loop* loop = nullptr;
  std::string target;  // for messages: "tcp host:port"
  uint16_t port = 0;
  std::string path;  // of a unix socket, else empty
  std::unique_ptr<Pending> lookup;
  std::vector<std::string> addresses;
  size_t next = 0;
  uv_stream_t* handle = nullptr;
  std::unique_ptr<Timer> timer;
  StreamCallback done;

  struct Connect {
    uv_connect_t request;
    std::shared_ptr<Dial> dial;
  };

  void stop() {
    lookup.reset();
    timer.reset();
    done = nullptr;
    if (handle != nullptr) close_stream(std::exchange(handle, nullptr));
  }
  void answer(Result<std::unique_ptr<ByteStream>> result) {
    StreamCallback callback = std::exchange(done, nullptr);
    auto keep = shared_from_this();
    stop();
    if (callback) callback(std::move(result));
  }
  void fail(const std::string& why, Code code = Code::kServiceUnavailable) {
    answer(make_error(code, "dial " + target + ": " + why));
  }
  void try_next(int last_error);
  void connected(int status);
};

void Dial::try_next(int last_error) {
  if (next == (path.empty() ? addresses.size() : 1)) {
    return fail("connect: " + std::string(uv_strerror(last_error)));
  }
  auto* connect = new Connect{{}, shared_from_this()};
  connect->request.data = connect;
  auto told = [](uv_connect_t* request, int status) {
    std::unique_ptr<Connect> c(static_cast<Connect*>(request->data));
    c->dial->connected(status);
  };
  if (!path.empty()) {
    next++;
    auto* pipe = new uv_pipe_t;
    uv_pipe_init(loop->uv(), pipe, 0);
    handle = reinterpret_cast<uv_stream_t*>(pipe);
    uv_pipe_connect(&connect->request, pipe, path.c_str(), told);
    return;
  }
  const std::string& ip = addresses[next++];
  auto* tcp = new uv_tcp_t;
  uv_tcp_init(loop->uv(), tcp);
  handle = reinterpret_cast<uv_stream_t*>(tcp);
  sockaddr_storage address{};
  if (uv_ip4_addr(ip.c_str(), port, reinterpret_cast<sockaddr_in*>(&address)) != 0) {
    uv_ip6_addr(ip.c_str(), port, reinterpret_cast<sockaddr_in6*>(&address));
  }
  int rc = uv_tcp_connect(&connect->request, tcp, reinterpret_cast<sockaddr*>(&address), told);
  if (rc != 0) {
    delete connect;
    connected(rc);
  }
}

void Dial::connected(int status) {
  if (!done) return;  // canceled: the handle is closing
  if (status != 0) {
    close_stream(std::exchange(handle, nullptr));
    return try_next(status);
  }
  auto turns = std::make_shared<TurnQueue>(loop->uv());
  auto socket = std::make_unique<Socket>(std::move(turns), std::exchange(handle, nullptr));
  socket->keep_alive();
  answer(std::unique_ptr<ByteStream>(std::move(socket)));
}

class PendingDial final : public Pending {
 public:
  explicit PendingDial(std::shared_ptr<Dial> dial) : dial_(std::move(dial)) {}
  ~PendingDial() override { dial_->stop(); }

 private:
  std::shared_ptr<Dial> dial_;
};

std::shared_ptr<Dial> new_dial(base::Loop& loop, int64_t timeout_ms, StreamCallback done) {
  auto dial = std::make_shared<Dial>();
  dial->loop = &loop;
  dial->done = std::move(done);
  std::weak_ptr<Dial> weak = dial;
  dial->timer = loop.timer([weak] {
    if (auto d = weak.lock()) d->fail("i/o timeout", Code::kTimeout);
  });
  if (timeout_ms > 0) dial->timer->start(timeout_ms);
  return dial;
}

}  // namespace

std::unique_ptr<Pending> resolve(base::Loop& loop, const std::string& host,
                                 std::function<void(Result<std::vector<std::string>>)> done) {
  auto state = std::make_shared<Resolve>();
  state->host = host;
  state->done = std::move(done);
  state->request.data = new std::shared_ptr<Resolve>(state);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  int rc = uv_getaddrinfo(loop.uv(), &state->request, resolved, host.c_str(), nullptr, &hints);
  if (rc != 0) {
    delete static_cast<std::shared_ptr<Resolve>*>(state->request.data);
    std::weak_ptr<Resolve> weak = state;
    loop.defer([weak, rc] {
      auto s = weak.lock();
      auto callback = s ? std::exchange(s->done, nullptr) : nullptr;
      if (callback) {
        callback(
            make_error(Code::kServiceUnavailable, "lookup " + s->host + ": " + uv_strerror(rc)));
      }
    });
  }
  return std::make_unique<PendingResolve>(std::move(state));
}

std::unique_ptr<Pending> dial_tcp(base::Loop& loop, const std::string& host, uint16_t port,
                                  int64_t timeout_ms, StreamCallback done) {
  auto dial = new_dial(loop, timeout_ms, std::move(done));
  bool v6 = host.find(':') != std::string::npos;
  dial->target = "tcp " + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  dial->port = port;
  unsigned char bytes[16];
  if (uv_inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), bytes) == 0) {
    dial->addresses = {host};
    std::weak_ptr<Dial> weak = dial;
    loop.defer([weak] {
      if (auto d = weak.lock(); d && d->done) d->try_next(0);
    });
  } else {
    std::weak_ptr<Dial> weak = dial;
    dial->lookup = resolve(loop, host, [weak](Result<std::vector<std::string>> addresses) {
      auto d = weak.lock();
      if (!d) return;
      if (!addresses.ok()) return d->fail(addresses.error().message);
      d->addresses = std::move(*addresses);
      d->try_next(0);
    });
  }
  return std::make_unique<PendingDial>(std::move(dial));
}

std::unique_ptr<Pending> dial_unix(base::Loop& loop, const std::string& path, int64_t timeout_ms,
                                   StreamCallback done) {
  auto dial = new_dial(loop, timeout_ms, std::move(done));
  dial->target = "unix " + path;
  dial->path = path;
  std::weak_ptr<Dial> weak = dial;
  loop.defer([weak] {
    if (auto d = weak.lock(); d && d->done) d->try_next(0);
  });
  return std::make_unique<PendingDial>(std::move(dial));
}

std::unique_ptr<ByteStream> adopt_fd(base::Loop& loop, base::UniqueFd fd) {
  auto socket = Socket::adopt(std::make_shared<TurnQueue>(loop.uv()), std::move(fd));
  if (!socket.ok()) return nullptr;
  return std::move(*socket);
}

Result<std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>>> stream_pair(
    base::Loop& loop) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) {
    return errno_error(errno, "make a pair of sockets");
  }
  base::UniqueFd first(fds[0]), second(fds[1]);
  auto turns = std::make_shared<TurnQueue>(loop.uv());
  TRY_ASSIGN(std::unique_ptr<ByteStream> a, Socket::adopt(turns, std::move(first)));
  TRY_ASSIGN(std::unique_ptr<ByteStream> b, Socket::adopt(turns, std::move(second)));
  return std::make_pair(std::move(a), std::move(b));
}

}  // namespace knarr::net
