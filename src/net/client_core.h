// The parts of the client: an attempt is one request on its way; a connection carries attempts; the
// pool (client.cc) finds or dials a connection for each. Loop thread only.
#pragma once

#include <memory>
#include <string>

#include "net/client.h"
#include "net/socket.h"
#include "net/turn.h"
#include "net/url.h"

namespace knarr::net {

class ClientConnection;

// Owned by its Call; connections and the pool hold weak references, so that a canceled attempt is
// simply not there any more.
class Attempt {
 public:
  virtual ~Attempt() = default;

  ClientRequest request;
  Url url;
  bool upgrade = false;
  bool answered = false;  // its headers have come
  bool reused = false;    // it went out on a connection that had carried others
  bool retried = false;

  virtual void on_headers(int status, const Headers& headers) = 0;
  virtual void on_data(std::string_view bytes) = 0;
  virtual void on_end(const Headers& trailers) = 0;
  virtual void on_drain() = 0;
  virtual void on_error(const Error& error) = 0;
  virtual void on_upgraded(std::unique_ptr<ByteStream> stream) = 0;
};

// What an attempt asks of the connection that carries it. Destroying it cancels.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual void pause() = 0;
  virtual void resume() = 0;
  virtual bool write(Buffers bytes) = 0;
  virtual void finish() = 0;
};

class ClientConnection {
 public:
  struct Events {
    std::function<void()> on_idle;   // may carry another
    std::function<void()> on_close;  // never will again
  };
  virtual ~ClientConnection() = default;
  virtual bool available() const = 0;
  virtual bool idle() const = 0;
  virtual std::unique_ptr<Carrier> carry(const std::shared_ptr<Attempt>& attempt) = 0;
};

std::shared_ptr<ClientConnection> make_http1_client(std::unique_ptr<Socket> socket,
                                                    std::shared_ptr<TurnQueue> turns,
                                                    ClientConnection::Events events);
std::shared_ptr<ClientConnection> make_http2_client(std::unique_ptr<Socket> socket,
                                                    std::shared_ptr<TurnQueue> turns,
                                                    ClientConnection::Events events);

}  // namespace knarr::net
