#include "net/client_pool.h"

#include <sys/socket.h>

#include <algorithm>

namespace knarr::net {

// A dial and a handshake, with one limit of time.
struct ClientState::Connecting : std::enable_shared_from_this<Connecting> {
  ClientState* state = nullptr;
  std::unique_ptr<Pending> dialing;
  std::unique_ptr<Socket> socket;
  std::unique_ptr<Timer> timer;
  std::function<void(Result<std::unique_ptr<Socket>>)> done;

  void answer(Result<std::unique_ptr<Socket>> result) {
    auto keep = shared_from_this();
    state->connecting.erase(this);
    timer.reset();
    auto told = std::exchange(done, nullptr);
    if (told) told(std::move(result));
  }
};

Result<void> ClientState::prepare(bool https) {
  if (!https || tls) return {};
  TlsConfig http1 = options.tls;
  http1.http2 = false;
  TRY_ASSIGN(tls_http1, make_client_tls(http1));
  TRY_ASSIGN(tls, make_client_tls(options.tls));
  return {};
}

// TLS and HTTP are spoken by sockets: what is none gets one of its own.
Result<std::unique_ptr<Socket>> ClientState::socket_of(std::unique_ptr<ByteStream> stream) {
  if (stream->is_socket()) return std::unique_ptr<Socket>(static_cast<Socket*>(stream.release()));
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    return errno_error(errno, "socketpair");
  }
  base::UniqueFd near(fds[0]), far(fds[1]);
  TRY_ASSIGN(auto socket, Socket::adopt(turns, std::move(near)));
  TRY_ASSIGN(auto other, Socket::adopt(turns, std::move(far)));
  dialed.add(std::move(stream), std::move(other));
  return socket;
}

void ClientState::dial(const UserAttempt& attempt,
                       std::function<void(Result<std::unique_ptr<Socket>>)> done, bool http1) {
  const Url& url = attempt.url;
  auto c = std::make_shared<Connecting>();
  connecting.emplace(c.get(), c);
  c->state = this;
  c->done = std::move(done);
  std::weak_ptr<Connecting> weak = c;
  bool v6 = url.host.find(':') != std::string::npos;
  std::string target = (v6 ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port);
  c->timer = loop->timer([weak, target] {
    auto w = weak.lock();
    if (!w) return;
    const bool dialed = w->socket != nullptr;
    w->answer(make_error(Code::kTimeout, dialed ? "net/http: TLS handshake timeout"
                                                : "dial tcp " + target + ": i/o timeout"));
  });
  c->timer->start(options.connect_timeout_ms);
  auto context = url.scheme != "https" ? nullptr : http1 ? tls_http1 : tls;
  auto told = [weak, context, host = url.host](Result<std::unique_ptr<ByteStream>> stream) {
    auto w = weak.lock();
    if (!w) return;
    if (!stream.ok()) return w->answer(stream.error());
    auto socket = w->state->socket_of(std::move(*stream));
    if (!socket.ok()) return w->answer(socket.error());
    w->socket = std::move(*socket);
    if (!context) return w->answer(std::move(w->socket));
    w->socket->secure(context, host, [weak](Result<void> secured) {
      auto s = weak.lock();
      if (!s) return;
      if (!secured.ok()) return s->answer(secured.error());
      s->answer(std::move(s->socket));
    });
  };
  int64_t limit_ms = options.connect_timeout_ms;
  if (!options.unix_path.empty()) {
    c->dialing = dial_unix(*loop, options.unix_path, limit_ms, told);
  } else if (options.dial) {
    c->dialing = options.dial({url.host, url.port, attempt.request.route}, limit_ms, told);
  } else {
    c->dialing = dial_tcp(*loop, url.host, url.port, limit_ms, told);
  }
}

// fresh: not on a connection that has carried others.
void ClientState::place(const std::shared_ptr<UserAttempt>& attempt, bool fresh) {
  if (attempt->upgrade && attempt->request.protocol.empty()) {
    std::weak_ptr<UserAttempt> weak = attempt;
    auto carry = [this, weak, begun = generation](Result<std::unique_ptr<Socket>> socket) {
      auto a = weak.lock();
      if (!a || a->over) return;
      if (begun != generation) return place(a, false);
      if (!socket.ok()) return a->on_error(socket.error());
      a->take(make_http1_client(std::move(*socket), turns, {})->carry(a));
    };
    return dial(*attempt, std::move(carry), true);
  }
  Pool& pool = pools[attempt->origin()];
  if (attempt->upgrade && pool.http1 && !pool.connections.empty()) {
    std::weak_ptr<UserAttempt> weak = attempt;
    return loop->defer([weak] {
      auto a = weak.lock();
      if (a) a->on_error(make_error(Code::kServiceUnavailable, "the server speaks no HTTP/2"));
    });
  }
  for (Pool::Pooled& pooled : pool.connections) {
    if (fresh || !pooled.connection->available()) continue;
    if (auto carrier = pooled.connection->carry(attempt)) {
      pooled.idle_since_ms = 0;
      return attempt->take(std::move(carrier));
    }
  }
  pool.waiting.push_back(attempt);
  // One connection carries all when it is HTTP/2, which is known when the first is there.
  if (pool.dialing == 0 || (pool.http1 && pool.dialing < pool.waiting.size())) {
    dial_for_pool(*attempt);
  }
}

void ClientState::dial_for_pool(const UserAttempt& attempt) {
  std::string origin = attempt.origin();
  pools[origin].dialing++;
  dial(
      attempt,
      [this, origin, begun = generation](Result<std::unique_ptr<Socket>> socket) {
        // Who waited for an older one's connection waits for another since.
        if (begun != generation) return;
        auto keep = shared_from_this();
        Pool& pool = pools[origin];
        pool.dialing--;
        if (socket.ok()) {
          connected(origin, std::move(*socket));
          return serve_waiting(origin);
        }
        for (auto& weak : std::exchange(pool.waiting, {})) {
          if (auto attempt = weak.lock()) attempt->on_error(socket.error());
        }
      },
      false);
}

void ClientState::connected(const std::string& origin, std::unique_ptr<Socket> socket) {
  bool http2 = socket->http2() || options.http2_prior_knowledge;
  pools[origin].http1 = !http2;
  auto self = weak_from_this();
  auto key = std::make_shared<ClientConnection*>(nullptr);
  ClientConnection::Events events;
  events.on_idle = [self, origin, key] {
    if (auto state = self.lock()) state->went_idle(origin, *key);
  };
  events.on_close = [self, origin, key] {
    if (auto state = self.lock()) state->drop(origin, *key);
  };
  auto connection = http2 ? make_http2_client(std::move(socket), turns, std::move(events))
                          : make_http1_client(std::move(socket), turns, std::move(events));
  *key = connection.get();
  pools[origin].connections.push_back({std::move(connection), loop->monotonic_ms()});
  if (!idle_timer->active()) idle_timer->start(options.idle_timeout_ms);
}

void ClientState::serve_waiting(const std::string& origin) {
  for (auto& weak : std::exchange(pools[origin].waiting, {})) {
    auto attempt = weak.lock();
    if (attempt && !attempt->over) place(attempt, false);
  }
}

void ClientState::went_idle(const std::string& origin, ClientConnection* connection) {
  if (retire(connection)) return;
  Pool& pool = pools[origin];
  for (Pool::Pooled& pooled : pool.connections) {
    if (pooled.connection.get() == connection) pooled.idle_since_ms = loop->monotonic_ms();
  }
  if (!idle_timer->active()) idle_timer->start(options.idle_timeout_ms);
  while (!pool.waiting.empty()) {
    auto next = pool.waiting.front().lock();
    pool.waiting.pop_front();
    if (next && !next->over) return place(next, false);  // the others were canceled
  }
}

// Its last call is over, if it is one of those.
bool ClientState::retire(ClientConnection* connection) {
  auto is_it = [&](const auto& other) { return other.get() == connection; };
  auto at = std::find_if(retired.begin(), retired.end(), is_it);
  if (at == retired.end()) return false;
  auto last = std::move(*at);
  retired.erase(at);
  return true;
}

void ClientState::drop(const std::string& origin, ClientConnection* connection) {
  if (retire(connection)) return;
  auto& list = pools[origin].connections;
  for (size_t i = 0; i < list.size(); i++) {
    if (list[i].connection.get() != connection) continue;
    auto last = std::move(list[i].connection);
    list.erase(list.begin() + static_cast<ptrdiff_t>(i));
    if (list.empty()) pools[origin].http1 = false;
    return;
  }
}

void ClientState::sweep() {
  int64_t now = loop->monotonic_ms();
  int64_t next = 0;
  std::vector<std::shared_ptr<ClientConnection>> expired;
  for (auto& [origin, pool] : pools) {
    std::erase_if(pool.connections, [&](Pool::Pooled& pooled) {
      if (pooled.idle_since_ms == 0 || !pooled.connection->idle()) return false;
      int64_t left = pooled.idle_since_ms + options.idle_timeout_ms - now;
      if (left <= 0) {
        expired.push_back(std::move(pooled.connection));
        return true;
      }
      if (next == 0 || left < next) next = left;
      return false;
    });
    if (pool.connections.empty()) pool.http1 = false;
  }
  if (next > 0) idle_timer->start(next);
}

}  // namespace knarr::net
