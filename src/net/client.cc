// The pool: which connection carries a request, dialling, retries, idle connections; and the calls
// that users hold.
#include "net/client.h"

#include <algorithm>
#include <deque>
#include <map>

#include "net/client_core.h"
#include "net/dial.h"

namespace knarr::net {

namespace {

class UserAttempt;

// Connections of one origin and the attempts that wait for one.
struct Pool {
  struct Pooled {
    std::shared_ptr<ClientConnection> connection;
    int64_t idle_since_ms = 0;  // 0: it is busy
  };
  std::vector<Pooled> connections;
  std::deque<std::weak_ptr<UserAttempt>> waiting;
  size_t dialing = 0;
  bool http1 = false;  // learnt: a connection carries one request at a time
};

struct ClientState : std::enable_shared_from_this<ClientState> {
  base::Loop* loop = nullptr;
  ClientOptions options;
  std::shared_ptr<TlsContext> tls, tls_http1;
  std::shared_ptr<TurnQueue> turns;
  std::map<std::string, Pool> pools;
  std::unique_ptr<Timer> idle_timer;

  struct Connecting;
  std::map<Connecting*, std::shared_ptr<Connecting>> connecting;

  Result<void> prepare(bool https);
  void place(const std::shared_ptr<UserAttempt>& attempt, bool fresh);
  void dial(const Url& url, std::function<void(Result<std::unique_ptr<Socket>>)> done, bool http1);
  void dial_for_pool(const Url& url);
  void connected(const std::string& origin, std::unique_ptr<Socket> socket);
  void serve_waiting(const Url& url);
  void went_idle(const std::string& origin, ClientConnection* connection);
  void drop(const std::string& origin, ClientConnection* connection);
  void sweep();
};

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

class UserAttempt final : public Attempt, public std::enable_shared_from_this<UserAttempt> {
 public:
  std::weak_ptr<ClientState> client;
  ResponseEvents events;
  std::function<void(std::unique_ptr<Socket>)> upgraded;
  std::unique_ptr<Carrier> carrier;
  std::unique_ptr<Timer> timer;
  bool over = false;
  bool paused = false;
  Buffers early;  // written before there was a connection
  bool early_finish = false;

  std::string origin() const {
    return url.scheme + "://" + url.host + ":" + std::to_string(url.port);
  }
  void take(std::unique_ptr<Carrier> by) {
    carrier = std::move(by);
    if (paused) carrier->pause();
    if (!early.empty()) carrier->write(std::exchange(early, {}));
    if (early_finish) carrier->finish();
  }
  void stop() {
    over = true;
    timer.reset();
    carrier.reset();
  }

  void on_headers(int status, const Headers& headers) override {
    timer.reset();
    if (!over && events.on_headers) events.on_headers(status, headers);
  }
  void on_data(std::string_view bytes) override {
    if (!over && events.on_data) events.on_data(bytes);
  }
  void on_drain() override {
    if (!over && events.on_drain) events.on_drain();
  }
  void on_end(const Headers& trailers) override {
    if (over) return;
    auto keep = shared_from_this();
    stop();
    if (events.on_end) events.on_end(trailers);
  }
  void on_error(const Error& error) override {
    if (over) return;
    auto keep = shared_from_this();
    const std::string& m = request.method;
    bool idempotent = m == "GET" || m == "HEAD" || m == "PUT" || m == "DELETE" || m == "OPTIONS";
    auto state = client.lock();
    if (reused && !answered && !retried && idempotent && !request.stream_body && state) {
      retried = true;
      carrier.reset();
      return state->place(keep, true);
    }
    stop();
    if (events.on_error) events.on_error(error);
  }
  void on_upgraded(std::unique_ptr<Socket> socket) override {
    if (over) return;
    auto keep = shared_from_this();
    stop();
    if (upgraded) upgraded(std::move(socket));
  }
};

class UserCall final : public Call {
 public:
  explicit UserCall(std::shared_ptr<UserAttempt> attempt) : attempt_(std::move(attempt)) {}
  ~UserCall() override { attempt_->stop(); }
  void pause() override {
    attempt_->paused = true;
    if (attempt_->carrier) attempt_->carrier->pause();
  }
  void resume() override {
    attempt_->paused = false;
    if (attempt_->carrier) attempt_->carrier->resume();
  }
  bool write(Buffers bytes) override {
    if (attempt_->over) return false;
    if (attempt_->carrier) return attempt_->carrier->write(std::move(bytes));
    attempt_->early.append(std::move(bytes));
    return attempt_->early.size() <= kHighWater;
  }
  void finish() override {
    if (attempt_->carrier) {
      attempt_->carrier->finish();
    } else {
      attempt_->early_finish = true;
    }
  }

 private:
  std::shared_ptr<UserAttempt> attempt_;
};

Result<void> ClientState::prepare(bool https) {
  if (!https || tls) return {};
  TlsConfig http1 = options.tls;
  http1.http2 = false;
  TRY_ASSIGN(tls_http1, make_client_tls(http1));
  TRY_ASSIGN(tls, make_client_tls(options.tls));
  return {};
}

void ClientState::dial(const Url& url, std::function<void(Result<std::unique_ptr<Socket>>)> done,
                       bool http1) {
  auto c = std::make_shared<Connecting>();
  connecting.emplace(c.get(), c);
  c->state = this;
  c->done = std::move(done);
  std::weak_ptr<Connecting> weak = c;
  c->timer = loop->timer([weak] {
    if (auto w = weak.lock()) {
      w->answer(make_error(Code::kTimeout, "net/http: TLS handshake timeout"));
    }
  });
  c->timer->start(options.connect_timeout_ms);
  auto context = url.scheme != "https" ? nullptr : http1 ? tls_http1 : tls;
  auto dialed = [weak, context, host = url.host](Result<std::unique_ptr<ByteStream>> stream) {
    auto w = weak.lock();
    if (!w) return;
    if (!stream.ok()) return w->answer(stream.error());
    // What dial gives is a Socket.
    w->socket.reset(static_cast<Socket*>(stream->release()));
    if (!context) return w->answer(std::move(w->socket));
    w->socket->secure(context, host, [weak](Result<void> secured) {
      auto s = weak.lock();
      if (!s) return;
      if (!secured.ok()) return s->answer(secured.error());
      s->answer(std::move(s->socket));
    });
  };
  c->dialing = options.unix_path.empty()
                   ? dial_tcp(*loop, url.host, url.port, options.connect_timeout_ms, dialed)
                   : dial_unix(*loop, options.unix_path, options.connect_timeout_ms, dialed);
}

// fresh: not on a connection that has carried others.
void ClientState::place(const std::shared_ptr<UserAttempt>& attempt, bool fresh) {
  if (attempt->upgrade) {
    std::weak_ptr<UserAttempt> weak = attempt;
    auto carry = [this, weak](Result<std::unique_ptr<Socket>> socket) {
      auto a = weak.lock();
      if (!a || a->over) return;
      if (!socket.ok()) return a->on_error(socket.error());
      a->take(make_http1_client(std::move(*socket), turns, {})->carry(a));
    };
    return dial(attempt->url, std::move(carry), true);
  }
  Pool& pool = pools[attempt->origin()];
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
    dial_for_pool(attempt->url);
  }
}

void ClientState::dial_for_pool(const Url& url) {
  std::string origin = url.scheme + "://" + url.host + ":" + std::to_string(url.port);
  pools[origin].dialing++;
  dial(
      url,
      [this, url, origin](Result<std::unique_ptr<Socket>> socket) {
        auto keep = shared_from_this();
        Pool& pool = pools[origin];
        pool.dialing--;
        if (socket.ok()) {
          connected(origin, std::move(*socket));
          return serve_waiting(url);
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
}

void ClientState::serve_waiting(const Url& url) {
  std::string origin = url.scheme + "://" + url.host + ":" + std::to_string(url.port);
  for (auto& weak : std::exchange(pools[origin].waiting, {})) {
    auto attempt = weak.lock();
    if (attempt && !attempt->over) place(attempt, false);
  }
}

void ClientState::went_idle(const std::string& origin, ClientConnection* connection) {
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

void ClientState::drop(const std::string& origin, ClientConnection* connection) {
  auto& list = pools[origin].connections;
  for (size_t i = 0; i < list.size(); i++) {
    if (list[i].connection.get() != connection) continue;
    auto last = std::move(list[i].connection);
    list.erase(list.begin() + static_cast<ptrdiff_t>(i));
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
  }
  if (next > 0) idle_timer->start(next);
}

}  // namespace

struct Client::Impl {
  std::shared_ptr<ClientState> state;

  std::shared_ptr<UserAttempt> attempt(ClientRequest request, ResponseEvents events) {
    auto attempt = std::make_shared<UserAttempt>();
    attempt->client = state;
    attempt->request = std::move(request);
    attempt->events = std::move(events);
    return attempt;
  }
  std::unique_ptr<Call> begin(const std::shared_ptr<UserAttempt>& attempt) {
    std::weak_ptr<UserAttempt> weak = attempt;
    auto fail_later = [this, weak](Error error) {
      state->loop->defer([weak, error] {
        if (auto a = weak.lock()) a->on_error(error);
      });
    };
    Result<Url> url = parse_url(attempt->request.url);
    if (!url.ok()) {
      fail_later(url.error());
    } else if (Result<void> r = state->prepare(url->scheme == "https"); !r.ok()) {
      fail_later(r.error());
    } else {
      attempt->url = std::move(*url);
      if (attempt->request.timeout_ms > 0) {
        attempt->timer = state->loop->timer([weak] {
          auto a = weak.lock();
          if (!a) return;
          a->retried = true;
          a->on_error(make_error(Code::kTimeout, "timeout awaiting response headers"));
        });
        attempt->timer->start(attempt->request.timeout_ms);
      }
      state->place(attempt, false);
    }
    return std::make_unique<UserCall>(attempt);
  }
};

Client::Client(base::Loop& loop, ClientOptions options) : impl_(std::make_unique<Impl>()) {
  auto state = std::make_shared<ClientState>();
  state->loop = &loop;
  state->options = std::move(options);
  state->turns = std::make_shared<TurnQueue>(loop.uv());
  ClientState* raw = state.get();
  state->idle_timer = loop.timer([raw] { raw->sweep(); });
  impl_->state = std::move(state);
}

Client::~Client() {
  ClientState& state = *impl_->state;
  state.connecting.clear();
  state.idle_timer.reset();
  for (auto& [origin, pool] : state.pools) {
    for (auto& weak : pool.waiting) {
      if (auto attempt = weak.lock()) attempt->stop();
    }
  }
  state.pools.clear();
}

std::unique_ptr<Call> Client::send(ClientRequest request, ResponseEvents events) {
  return impl_->begin(impl_->attempt(std::move(request), std::move(events)));
}

namespace {

// Gathers an answer.
struct Gathering {
  Response response;
  ResponseCallback done;
};

ResponseEvents gather(const std::shared_ptr<Gathering>& g, size_t limit) {
  ResponseEvents events;
  events.on_headers = [g](int status, const Headers& headers) {
    g->response.status = status;
    g->response.headers = headers;
  };
  events.on_data = [g, limit](std::string_view bytes) {
    if (!g->done) return;
    if (g->response.body.size() + bytes.size() > limit) {
      auto done = std::exchange(g->done, nullptr);
      return done(make_error(Code::kRequestEntityTooLarge, "http: response body too large"));
    }
    g->response.body += bytes;
  };
  events.on_end = [g](const Headers& trailers) {
    auto done = std::exchange(g->done, nullptr);
    g->response.trailers = trailers;
    if (done) done(std::move(g->response));
  };
  events.on_error = [g](const Error& error) {
    auto done = std::exchange(g->done, nullptr);
    if (done) done(error);
  };
  return events;
}

}  // namespace

std::unique_ptr<Call> Client::fetch(ClientRequest request, ResponseCallback done) {
  auto g = std::make_shared<Gathering>();
  g->done = std::move(done);
  size_t limit = request.body_limit;
  return send(std::move(request), gather(g, limit));
}

std::unique_ptr<Call> Client::upgrade(ClientRequest request, ResponseCallback done) {
  auto g = std::make_shared<Gathering>();
  g->done = std::move(done);
  size_t limit = request.body_limit;
  auto attempt = impl_->attempt(std::move(request), gather(g, limit));
  attempt->upgrade = true;
  attempt->upgraded = [g](std::unique_ptr<Socket> socket) {
    auto told = std::exchange(g->done, nullptr);
    g->response.stream = std::move(socket);
    if (told) told(std::move(g->response));
  };
  return impl_->begin(attempt);
}

Result<void> Client::reload(const TlsConfig& tls) {
  ClientState& state = *impl_->state;
  TRY(make_client_tls(tls));
  state.options.tls = tls;
  state.tls = state.tls_http1 = nullptr;
  TRY(state.prepare(true));
  // Those that carry calls live on in their carriers.
  auto pools = std::exchange(state.pools, {});
  for (auto& [origin, pool] : pools) {
    for (auto& weak : pool.waiting) {
      auto attempt = weak.lock();
      if (attempt && !attempt->over) state.place(attempt, false);
    }
  }
  return {};
}

}  // namespace knarr::net
