// The way of packets between pods of nodes that do not reach each other: each such node keeps a
// stream here (an extended CONNECT, kTunnelPacketsPath), on which whole IP packets go both ways
// (net/frames.h). A packet goes on to the node whose range of pods it is for; it must come from one
// of the sender's. A node without a stream that there are packets for is asked for one. What can't
// be sent now is lost, as networks do. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/ip.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "net/frames.h"
#include "net/stream.h"

namespace knarr::server {

struct PacketAddresses {
  api::IpAddress source, destination;
};
// nullopt: no packet of IPv4 or IPv6.
std::optional<PacketAddresses> packet_addresses(std::string_view packet);

class PacketRelay final : public client::WatchHandler {
 public:
  // `ask` makes a node open its stream.
  using Ask = std::function<void(const std::string& node)>;
  PacketRelay(client::Client& client, Clock& clock, Ask ask);
  ~PacketRelay() override;  // cuts all streams

  // A newer stream of a node takes the place of the older.
  void accept(const std::string& node, std::unique_ptr<net::ByteStream> stream);

  void on_upsert(const ObjectRef& node) override;
  void on_delete(const ObjectRef& last) override;

 private:
  struct Port {
    std::unique_ptr<net::ByteStream> stream;
    net::FrameReader in;
    std::string out;  // written when all of a piece has been read
  };
  struct Range {
    api::IpAddress last;
    std::string node;
  };

  void set_ranges(const std::string& node, std::vector<api::Cidr> ranges);
  bool is_taken(const api::Cidr& range) const;
  const std::string* node_of(const api::IpAddress& address) const;
  void read(const std::string& node, Port& port, std::string_view bytes);
  void pass(const std::string& from, std::string_view packet, std::vector<Port*>& touched);
  void ask(const std::string& node);
  void lost(const std::string& node, const Port* port);

  client::Client& client_;
  Clock& clock_;
  Ask ask_;
  std::map<std::string, std::unique_ptr<Port>> ports_;       // by node
  std::map<std::string, std::vector<api::Cidr>> ranges_of_;  // of nodes
  std::map<api::IpAddress, Range> ranges_;                   // by first address, apart
  std::map<std::string, int64_t> asked_ms_;                  // by node
  std::unique_ptr<client::Watch> watch_;                     // while there is a port
};

}  // namespace knarr::server
