// The ways into nodes that only they can open. A node keeps one control stream here; told "dial" on
// it, the node connects to the address on its side and opens another stream, which carries that
// connection. Both are extended CONNECTs of kTunnelProtocol with the node's own credentials.
//
//   server: "dial <id> <host> <port>\n"    node: CONNECT <kTunnelPath>/<id>
//                                          or "refused <id> <why>\n" on the control stream
//   server: "packets\n"                     node: CONNECT kTunnelPacketsPath (packet_relay.h)
//
// Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "knarr/clock.h"
#include "net/dial.h"
#include "net/http.h"
#include "server/auth/auth.h"
#include "server/auth/node_keys.h"

namespace knarr::server {

class NodeTunnels {
 public:
  explicit NodeTunnels(Clock& clock);
  ~NodeTunnels();  // ends what is open; dials that are under way are not answered
  NodeTunnels(const NodeTunnels&) = delete;
  NodeTunnels& operator=(const NodeTunnels&) = delete;

  // From then on who shows the certificate of another machine than the node's is refused.
  void know_machines_by(NodeKeys* keys);

  // Answers a request that has a protocol. A newer control stream of a node takes the place of the
  // older.
  void accept(const net::ExchangePtr& exchange, const UserRef& user);

  bool has(const std::string& node) const;
  // Who takes the nodes' streams of packets, and makes a node that has a tunnel open one.
  using Packets = std::function<void(const std::string& node, std::unique_ptr<net::ByteStream>)>;
  void on_packets(Packets take);
  void ask_for_packets(const std::string& node);
  // Under net::dial_tcp's contract. The host is as the node sees it; the node may refuse.
  using Done = std::function<void(Result<std::unique_ptr<net::ByteStream>>)>;
  std::unique_ptr<net::Pending> dial(const std::string& node, const std::string& host,
                                     uint16_t port, int64_t timeout_ms, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace knarr::server
