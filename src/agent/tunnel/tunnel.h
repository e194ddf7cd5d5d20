// The node's own way to the server, for what the server cannot dial: one control stream, on which
// the server asks for connections to addresses of this node, and a stream for each of them. It has
// a connection of its own, so that a big copy holds up no watch. Loop thread.
//
//   opening --accepted--> open --cut--> waiting --> opening
//      +------ refused, unreachable ------^        (longer each time; a server that was there is
//                                                   asked again at once, but not twice a second)
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/remote/remote_client.h"
#include "base/loop.h"
#include "knarr/random.h"
#include "net/client.h"

namespace knarr::agent {

struct TunnelOptions {
  ServerList servers;
  net::TlsConfig tls;  // with this node's certificate
  std::string user_agent;
  // Whether the server may be led there.
  std::function<bool(const std::string& host, uint16_t port)> allowed;
  // The control stream is open, or the server asks on it for the stream of packets.
  std::function<void(bool packets)> server_is_there;
};

class Tunnel {
 public:
  // Opens at the next turn.
  Tunnel(base::Loop& loop, Random& random, TunnelOptions options);
  ~Tunnel();  // cuts what goes through it

  bool open() const { return control_ != nullptr; }
  // Connects anew with it; what goes through the old connection goes on there.
  Result<void> reload(const net::TlsConfig& tls);
  // The stream of the server's packet relay, under net::dial_tcp's contract.
  std::unique_ptr<net::Pending> open_packets(
      std::function<void(Result<std::unique_ptr<net::ByteStream>>)> done);

 private:
  // A connection that the server asked for, on its way.
  struct Way {
    std::unique_ptr<net::Pending> dialing;
    std::unique_ptr<net::ByteStream> stream;
    std::unique_ptr<net::Call> call;
  };

  net::ClientRequest request(const std::string& server, const std::string& path) const;
  void begin();
  void opened(Result<net::Response> answer);
  void ended(const Error& error);
  void lost(const Error& error);
  // Opens later; a control stream that is there goes on meanwhile.
  void again(const std::string& server, const Error& error, int64_t least_ms);
  void read(std::string_view bytes);
  void asked(std::string_view line);
  void dialed(const std::string& id, Result<std::unique_ptr<net::ByteStream>> stream);
  void answered(const std::string& id, Result<net::Response> answer);
  void refuse(const std::string& id, const std::string& why);

  base::Loop& loop_;
  Random& random_;
  TunnelOptions options_;
  ServerList servers_;
  std::string server_;       // that the control stream goes to
  std::string next_server_;  // that it will go to
  net::Client http_;
  std::unique_ptr<Timer> retry_;
  std::unique_ptr<net::Call> opening_;
  std::unique_ptr<net::ByteStream> control_;
  std::string line_;  // the start of one
  int64_t opened_ms_ = 0;
  int failures_ = 0;                 // in a row
  std::map<std::string, Way> ways_;  // by id
  net::Splices splices_;
};

}  // namespace knarr::agent
