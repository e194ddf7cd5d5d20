// The streams of exec and attach, whatever carries them: a WebSocket with channels (v4 and
// v5.channel.k8s.io) or a SPDY/3.1 session with a stream each. The rest of the code sees byte
// streams.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "net/http.h"
#include "net/spdy.h"
#include "net/stream.h"
#include "net/websocket.h"

namespace knarr::agent {

enum class RemoteStream { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };

struct RemoteWanted {
  bool stdin_open = false;
  bool stdout_open = false;
  bool stderr_open = false;
  bool tty = false;
};

// Destroying it ends the connection.
class RemoteStreams {
 public:
  // Null when the client did not open it. Owned by this.
  net::ByteStream* get(RemoteStream stream) const;
  // Writes the status that ends the session, then closes all.
  void finish(const std::string& status_json);

 private:
  friend class RemoteAccept;
  std::map<RemoteStream, std::unique_ptr<net::ByteStream>> streams_;
  std::unique_ptr<net::WebSocketChannels> channels_;
  std::unique_ptr<net::SpdyConnection> spdy_;
};

// Upgrades the exchange, and calls ready once every wanted stream is there (SPDY clients open them
// one by one). The error is for the client, when nothing has been answered yet.
Result<void> accept_remote(const net::ExchangePtr& exchange, const RemoteWanted& wanted,
                           std::function<void(std::unique_ptr<RemoteStreams>)> ready);

}  // namespace knarr::agent
