// client::Client across the network: HTTP/2 to whichever of the servers answers, watches that last.
// A server that cannot be reached, or is not up yet, is left for the next one; calls in flight fail
// with kServiceUnavailable, watches go on by themselves. With a memory, reads and watches begin
// with what it has when no server answers. Loop thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "agent/remote/memory.h"
#include "agent/remote/server_list.h"
#include "base/loop.h"
#include "knarr/client.h"
#include "knarr/random.h"
#include "net/client.h"

namespace knarr::agent {

struct RemoteOptions {
  ServerList servers;
  net::TlsConfig tls;        // this node's certificate, and whom to believe
  std::string bearer_token;  // empty: the certificate says who this is
  std::string user_agent;
  int64_t call_timeout_ms = 30000;  // until the headers of an answer
  Memory* memory = nullptr;         // what to tell while no server answers; may be null
};

// No server answered, or none that is up yet: what is remembered will do.
bool is_absence(const Error& error);

class RemoteClient final : public client::Client {
 public:
  // Once it is destroyed no call is answered. Its watches must have ended by then.
  RemoteClient(base::Loop& loop, Random& random, RemoteOptions options);

  void call(client::Request request, client::Reply reply) override;
  std::unique_ptr<client::Watch> watch(client::WatchTarget target,
                                       client::WatchHandler& handler) override;

  // New connections use it: a renewed certificate, another CA.
  Result<void> reload(const net::TlsConfig& tls);

 private:
  friend class RemoteWatch;
  Result<ObjectRef> remember(const client::Request& request, Result<ObjectRef> answer);
  // With who asks.
  net::ClientRequest prepare(std::string method, const std::string& path) const;

  base::Loop& loop_;
  Random& random_;
  RemoteOptions options_;
  ServerList servers_;
  net::Client http_;
  uint64_t next_call_ = 0;
  std::map<uint64_t, std::unique_ptr<net::Call>> calls_;  // in flight
};

}  // namespace knarr::agent
