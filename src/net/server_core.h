// What a server's connections share, and what the server asks of them. A connection owns its socket
// and is owned by the server's list; an exchange that outlives it does nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

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
  std::unique_ptr<Timer> sweep;  // armed only while some connection has a deadline
  int64_t sweep_at_ms = 0;
  std::function<void()> on_empty;  // the last connection has gone

  // The connection is told expire() after that time; 0: never.
  void set_deadline(ServerConnection& connection, int64_t delay_ms);
  void sweep_now();
  void remove(ServerConnection* connection);
  const std::string& date();  // "Date: ...\r\n", made once a second

 private:
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

// `input` is what was read before it was known which protocol it is.
std::shared_ptr<ServerConnection> make_http1_connection(ServerCore& core,
                                                        std::unique_ptr<Socket> socket);
std::shared_ptr<ServerConnection> make_http2_connection(ServerCore& core,
                                                        std::unique_ptr<Socket> socket);

// Splits a request target into path and query. false: it is neither of origin nor absolute form,
// nor "*".
bool split_target(std::string_view target, Request& request);

}  // namespace knarr::net
