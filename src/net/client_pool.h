// The inside of a Client: which connection carries a request, dialling, retries, idle connections.
// Loop thread only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/client_core.h"
#include "net/dial.h"

namespace knarr::net {

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
  bool http1 = false;  // its connections carry one request at a time; forgotten with the last one
};

struct ClientState : std::enable_shared_from_this<ClientState> {
  base::Loop* loop = nullptr;
  ClientOptions options;
  std::shared_ptr<TlsContext> tls, tls_http1;
  std::shared_ptr<TurnQueue> turns;
  std::map<std::string, Pool> pools;
  std::vector<std::shared_ptr<ClientConnection>> retired;  // carry their last calls
  std::unique_ptr<Timer> idle_timer;
  bool ended = false;
  int generation = 0;  // of the TLS configuration: what was dialed with an older one is not used
  Splices dialed;      // streams of the dialer's that are no sockets

  struct Connecting;
  std::map<Connecting*, std::shared_ptr<Connecting>> connecting;

  Result<void> prepare(bool https);
  void place(const std::shared_ptr<UserAttempt>& attempt, bool fresh);
  void dial(const UserAttempt& attempt, std::function<void(Result<std::unique_ptr<Socket>>)> done,
            bool http1);
  void dial_for_pool(const UserAttempt& attempt);
  Result<std::unique_ptr<Socket>> socket_of(std::unique_ptr<ByteStream> stream);
  void connected(const std::string& origin, std::unique_ptr<Socket> socket);
  void serve_waiting(const std::string& origin);
  void went_idle(const std::string& origin, ClientConnection* connection);
  bool retire(ClientConnection* connection);
  void drop(const std::string& origin, ClientConnection* connection);
  void sweep();
};

class UserAttempt final : public Attempt, public std::enable_shared_from_this<UserAttempt> {
 public:
  std::weak_ptr<ClientState> client;
  ResponseEvents events;
  std::function<void(std::unique_ptr<ByteStream>)> upgraded;
  std::unique_ptr<Carrier> carrier;
  std::unique_ptr<Timer> timer;
  bool over = false;
  bool paused = false;
  Buffers early;  // written before there was a connection
  bool early_finish = false;

  std::string origin() const {
    return url.scheme + "://" + url.host + ":" + std::to_string(url.port) +
           (request.route.empty() ? "" : " " + request.route);
  }
  // Nobody is told any more.
  bool deaf() const {
    auto state = client.lock();
    return over || !state || state->ended;
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
    if (!deaf() && events.on_headers) events.on_headers(status, headers);
  }
  void on_data(std::string_view bytes) override {
    if (!deaf() && events.on_data) events.on_data(bytes);
  }
  void on_drain() override {
    if (!deaf() && events.on_drain) events.on_drain();
  }
  void on_end(const Headers& trailers) override {
    if (deaf()) return;
    auto keep = shared_from_this();
    stop();
    if (events.on_end) events.on_end(trailers);
  }
  void on_error(const Error& error) override {
    if (deaf()) return;
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
  void on_upgraded(std::unique_ptr<ByteStream> stream) override {
    if (deaf()) return;
    auto keep = shared_from_this();
    stop();
    if (upgraded) upgraded(std::move(stream));
  }
};

}  // namespace knarr::net
