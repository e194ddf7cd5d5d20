// What a server's connections share, and what the server asks of them. A connection owns its socket
// and is owned by the server's list; an exchange that outlives it does nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/server.h"
#include "net/socket.h"
#include "net/turn.h"

namespace knarr::net {

class ServerConnection;

struct ServerCore {
  base::Loop* loop = nullptr;
  ServerLimits limits;
  Handler handler;
  std::shared_ptr<TurnQueue> turns;
  bool draining = false;

  std::unordered_map<ServerConnection*, std::shared_ptr<ServerConnection>> connections;
  std::vector<Socket::Ref> upgraded;  // that others own now
  std::unique_ptr<Timer> sweep;       // armed only while some connection has a deadline
  int64_t sweep_at_ms = 0;
  std::function<void()> on_empty;  // the last connection has gone

  // The connection is told expire() after that time; 0: never.
  void set_deadline(ServerConnection& connection, int64_t delay_ms);
  void sweep_now();
  void remove(ServerConnection* connection);
  void gave_away(const Socket& socket);
  // On the deadlines' clock. The loop's own time is exact enough, and costs no system call.
  int64_t now_ms() const { return static_cast<int64_t>(uv_now(loop->uv())); }
  // Counts bytes of bodies that are being read, of all connections. false: too many at once.
  bool buffered(int64_t change) {
    buffered_ += change;
    return buffered_ <= static_cast<int64_t>(limits.buffered_bytes);
  }
  const std::string& date();  // as in a Date header, made once a second

 private:
  int64_t buffered_ = 0;
  int64_t date_s_ = 0;
  std::string date_;
};

class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  virtual void start() = 0;
  virtual void drain() = 0;   // close as soon as nothing is under way
  virtual void expire() = 0;  // the deadline has passed

 private:
  friend struct ServerCore;
  int64_t deadline_ms_ = 0;
};

// What exchanges of both protocols do alike: who waits for the peer is told, or that it has gone.
class ServerExchange : public Exchange {
 public:
  void on_drain(std::function<void()> fn) final {
    if (open()) drain_ = std::move(fn);
  }
  void on_close(std::function<void()> fn) final {
    if (open()) close_ = std::move(fn);
  }
  void drained() {
    auto fn = drain_;
    if (fn) fn();
  }
  // The connection has gone, or the stream.
  void closed() {
    lose();
    drain_ = nullptr;
    auto fn = std::exchange(close_, nullptr);
    if (fn) fn();
  }

 protected:
  virtual void lose() = 0;  // what carried the exchange is no more
  void drop_callbacks() {
    drain_ = nullptr;
    close_ = nullptr;
  }

 private:
  std::function<void()> drain_;
  std::function<void()> close_;
};

// The body of an answer that net gives itself.
struct Refusal {
  std::string type;
  std::string body;
};
Refusal refusal_of(const ServerLimits& limits, int status);

// Adds a header's value without what would end its line.
void append_value(std::string& out, std::string_view value);

std::shared_ptr<ServerConnection> make_http1_connection(ServerCore& core,
                                                        std::unique_ptr<Socket> socket);
std::shared_ptr<ServerConnection> make_http2_connection(ServerCore& core,
                                                        std::unique_ptr<Socket> socket);

// Splits a request target into path and query. false: it is neither of origin nor absolute form,
// nor "*".
bool split_target(std::string_view target, Request& request);

}  // namespace knarr::net
